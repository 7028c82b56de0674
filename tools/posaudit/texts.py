"""What posaudit says about entries and transactions: (English, Chinese) by key.

Causes and codes come from the receipts.
"""

from __future__ import annotations

from posaudit.ports import clean_text
from posaudit.texts_settlement import SETTLEMENT

LANGS = ("en", "zh")

_TEXT: dict[str, tuple[str, str]] = {
    # -- entries
    "intent": (
        "{type} of {amount} with card {pan} written down as STAN {stan}, batch {batch}, before anything is sent",
        "{type} {amount}，卡号 {pan}，凭证号 {stan}，批次 {batch}：发送之前先记入日志",
    ),
    "intent_original": (" (of STAN {stan}, batch {batch}, {amount})", "（原凭证号 {stan}，批次 {batch}，{amount}）"),
    "verdict1": ("the host answered {code} ({meaning}) after {time}", "主机应答 {code}（{meaning}），用时 {time}"),
    "verdict2": ("no answer came within {time}", "{time} 内没有应答"),
    "verdict3": ("the answer after {time} was damaged and does not count", "{time} 后收到的应答已损坏，不作数"),
    "verdict4": (
        "the answer after {time} was to another message and does not count",
        "{time} 后收到的应答与请求不符，不作数",
    ),
    "verdict5": (
        "the MAC of the answer after {time} was wrong: it does not count",
        "{time} 后收到的应答 MAC 错误，不作数",
    ),
    "verdict6": (
        "an answer came too late, {time} after the request: {code} ({meaning}){refs}; kept as evidence",
        "迟到的应答，请求后 {time}：{code}（{meaning}）{refs}；留作证据，不改变结果",
    ),
    "verdict7": ("the same answer came again ({code}) and was ignored", "同一应答再次收到（{code}），已忽略"),
    "verdict8": ("sending broke off when bytes may have left already", "发送中断，可能已有字节发出"),
    "verdict9": ("an answer began but never ended, after {time}", "应答没有收完，用时 {time}"),
    "verdict10": ("the data for sending it again are lost, so nothing could be sent", "重发所需资料已丢失，无法发送"),
    "verdict11": (
        "the host answered {code} ({meaning}) after {time}: that does not accept the reversal",
        "主机应答 {code}（{meaning}），用时 {time}：冲正未被接受",
    ),
    "verdict_unknown": ("result {verdict}, unknown to this version", "结果 {verdict}，本版本不认识"),
    "refs": (", reference {rrn}, authorisation {auth}", "，参考号 {rrn}，授权码 {auth}"),
    "reply": ("Request: {what}", "请求：{what}"),
    "reply_stray": ("An answer that belongs to no transaction: {what}", "不属于任何交易的应答：{what}"),
    "outcome1": ("Outcome: approved", "结果：已批准"),
    "outcome2": ("Outcome: declined", "结果：未批准"),
    "outcome3": ("Outcome: not known; a reversal is owed (reason {reason})", "结果：未知；须冲正（原因码 {reason}）"),
    "outcome4": ("Outcome: nothing was sent, so nothing was charged", "结果：没有发出，没有扣款"),
    "outcome5": (
        "Outcome: cancelled after it was approved; a reversal is owed (reason {reason})",
        "结果：批准后取消；须冲正（原因码 {reason}）",
    ),
    "outcome_unknown": ("Outcome {outcome}, unknown to this version", "结果 {outcome}，本版本不认识"),
    "connect_fail": (
        "No connection ({stage}){times}: no byte was sent{retry}",
        "未能连接（{stage}）{times}：没有字节发出{retry}",
    ),
    "times": (", {count} times", "，共 {count} 次"),
    "stage1": ("name not resolved", "域名解析失败"),
    "stage2": ("connecting failed", "建立连接失败"),
    "stage3": ("TLS failed", "TLS 失败"),
    "stage4": ("sending failed", "发送失败"),
    "retry": ("; next try in {time}", "；{time} 后重试"),
    "reversal_sent": (
        "Reversal, attempt {attempt}, about to be sent (reason {reason})",
        "即将发送冲正，第 {attempt} 次（原因码 {reason}）",
    ),
    "reversal_done": (
        "Reversal accepted by the acquirer: {code} ({meaning}) after {time}",
        "收单行已接受冲正：{code}（{meaning}），用时 {time}",
    ),
    "reversal_reply": ("Reversal: {what}{retry}", "冲正：{what}{retry}"),
    "unresolved": (
        "Unresolved after {attempts} attempts: still owed, tried further at a slow pace",
        "冲正 {attempts} 次未果：仍须冲正，慢速继续重试",
    ),
    "human": (
        "{name} took it over, signed: {decision} Reason given: {reason}",
        "{name} 签字接管：{decision} 理由：{reason}",
    ),
    "slip": ('Slip "{slip}": {phase}', "单据“{slip}”：{phase}"),
    "phase1": ("printing began", "开始打印"),
    "phase2": ("printed", "已打印"),
    "phase3": ("not printed ({fault}); still owed", "未打印（{fault}），待补打"),
    "fault0": ("no reason given", "原因不明"),
    "fault1": ("out of paper", "缺纸"),
    "fault2": ("cover open", "机盖打开"),
    "fault3": ("printer not connected", "打印机未连接"),
    "fault4": ("power", "电源"),
    "boot": ("Started, firmware {firmware}, after {cause}{unclean}", "启动，固件 {firmware}，{cause}{unclean}"),
    "reset0": ("an unknown cause", "原因不明"),
    "reset1": ("power-on", "上电"),
    "reset2": ("a reset", "复位"),
    "reset3": ("a watchdog reset", "看门狗复位"),
    "unclean": (
        " (before that the power was cut while it wrote: repaired, nothing lost)",
        "（此前写入时断电：已修复，没有丢失）",
    ),
    "clock1": ("Clock found set back: {old} became {new}", "发现时钟被拨回：{old} 变为 {new}"),
    "clock2": ("Clock set by the host: {old} became {new}", "主机校时：{old} 变为 {new}"),
    "clock3": ("Clock set by a technician: {old} became {new}", "技术员校时：{old} 变为 {new}"),
    "config": (
        "Configuration: terminal {terminal_id}, TID {tid}, MID {mid}, {merchant}, profile {profile}{counting}",
        "配置：设备 {terminal_id}，终端编号 {tid}，商户编号 {mid}，{merchant}，参数 {profile}{counting}",
    ),
    "signon0": ("Sign-on about to be sent (STAN {stan})", "即将签到（凭证号 {stan}）"),
    "signon1": ("Signed on: {code} ({meaning})", "签到成功：{code}（{meaning}）"),
    "signon": ("Sign-on failed: {what}", "签到失败：{what}"),
    "snapshot": ("State written down whole (opens a flash sector)", "完整状态快照（新扇区开头）"),
    "tamper1": ("TAMPER: the case was opened; keys erased", "防拆：机壳被打开，密钥已清除"),
    "tamper2": ("TAMPER: the key store was erased", "防拆：密钥库已清除"),
    "export": ("Exported for the {role}, answering {nonce}", "导出给{role}，应答随机数 {nonce}"),
    "role1": ("technician", "技术员"),
    "role2": ("auditor", "审计员"),
    "role3": ("supervisor", "主管"),
    "fault_entry": (
        "Refused something broken or hostile: {area}, code {code}, count {count}",
        "拒绝了损坏或恶意的内容：{area}，代码 {code}，{count} 次",
    ),
    "area1": ("flash", "闪存"),
    "area2": ("vault", "冲正资料区"),
    "area3": ("key store", "密钥库"),
    "area4": ("bytes from the host", "主机数据"),
    "area5": ("bytes from the USB port", "USB 数据"),
    "area6": ("profile", "收单参数"),
    "raw": ("{body}", "{body}"),
    # -- slips whose name depends on nothing else
    "slip1": ("sale", "消费"),
    "slip2": ("void", "撤销"),
    "slip3": ("refund", "退货"),
    "slip4": ("declined", "未批准"),
    "slip5": ("pending reversal", "待冲正"),
    "slip6": ("reversal done", "已冲正"),
    "slip7": ("unresolved, customer's copy", "冲正未果，顾客联"),
    "slip8": ("unresolved, merchant's copy", "冲正未果，商户联"),
    "slip9": ("settlement", "结算"),
    "slip10": ("settlement failed", "结算失败"),
    "slip11": ("technician", "技术"),
    "slip12": ("pre-authorisation", "预授权"),
    "slip13": ("completion", "预授权完成"),
    "slip14": ("closed by a human decision", "人工了结"),
    "slip15": ("not sent", "未发送"),
    "slip16": ("record refused", "上送不完整"),
    "slip17": ("batch not settled, reminder", "未结算提醒"),
    "slip18": ("detail list", "交易明细"),
    # -- the story of one transaction
    "title": ("{type} of {amount}, STAN {stan}, batch {batch}", "{type} {amount}，凭证号 {stan}，批次 {batch}"),
    "card": (
        "Card {pan}, {mode}, terminal {tid}, merchant {mid} {merchant}",
        "卡号 {pan}，{mode}，终端 {tid}，商户 {mid} {merchant}",
    ),
    "head_happened": ("What happened", "经过"),
    "head_result": ("How it stands", "现状"),
    "head_cause": ("Why", "原因"),
    "head_owed": ("What is owed", "未了事项"),
    "head_advice": ("What to do", "怎么办"),
    "head_evidence": ("Evidence", "证据"),
    "for_customer": ("Customer", "顾客"),
    "for_merchant": ("Merchant", "商户"),
    "for_technician": ("Technician", "技术员"),
    "state_open": (
        "It is not finished: the journal ends before an outcome was written. At its next start the terminal "
        "decides from this very entry, and a reversal is then owed if anything may have been sent.",
        "尚未结束：日志在结果写下之前就停了。终端下次启动会据此处理；只要可能已发出，就须冲正。",
    ),
    "state_approved": ("Approved, and it stands.", "已批准，交易成立。"),
    "state_declined": ("Declined by the bank: nothing was charged.", "银行未批准，没有扣款。"),
    "state_not_sent": ("Nothing was sent to the bank: nothing was charged.", "没有发往银行，没有扣款。"),
    "state_reversal_owed": (
        "Not known whether the card was charged; the terminal owes a reversal and sends it before "
        "any other transaction.",
        "不知道是否已扣款；终端须先冲正，再做其他交易。",
    ),
    "state_unresolved": (
        "Not known whether the card was charged; the reversal could not be delivered in the agreed "
        "attempts. It stays owed until the acquirer accepts it or a supervisor signs for it.",
        "不知道是否已扣款；约定次数内冲正未果。收单行接受或主管签字之前，一直须冲正。",
    ),
    "state_reversed": (
        "Reversed: the acquirer accepted the reversal, the transaction does not stand.",
        "已冲正：收单行已接受，交易不成立。",
    ),
    "state_closed_by_human": ("Closed by a signed decision: {decision}", "由签字决定了结：{decision}"),
    "owed_nothing": ("Nothing.", "没有。"),
    "owed_reversal": (
        "A reversal: {attempts} attempts may have reached the host, {fails} connections failed.",
        "一笔冲正：可能已到主机 {attempts} 次，连接失败 {fails} 次。",
    ),
    "owed_slip": ("A slip that is not printed yet: {slip}.", "一张未打印的单据：{slip}。"),
    "no_cause": ("Nothing went wrong.", "没有异常。"),
    "decline_code": ("The bank's code {code}: {meaning}", "银行代码 {code}：{meaning}"),
    "voided_by": (
        "STAN {stan}, batch {batch}, is a {type} of it (entry #{txn}).",
        "凭证号 {stan}，批次 {batch}，是对它的{type}（日志 #{txn}）。",
    ),
    "references": ("Reference (RRN) {rrn}, authorisation {auth}", "参考号 {rrn}，授权码 {auth}"),
    "none": ("none", "无"),
    "evidence": (
        "Entries {seqs} of terminal {terminal}, journal {journal}",
        "设备 {terminal}，日志 {journal}，条目 {seqs}",
    ),
    "verified": ("Verified: the seals of all {entries} entries hold.", "已验证：全部 {entries} 条封印有效。"),
    "not_verified": (
        "NOT VERIFIED: without --keys nothing shows that these entries are genuine.",
        "未验证：没有 --keys，不能证明这些条目是真的。",
    ),
    "broken": ("NOT PROVEN: the file fails verification. {finding}", "未通过验证：{finding}"),
    "unreadable": (
        "{count} entries of the file cannot be read; they may belong to it: {places}",
        "文件中有 {count} 个条目无法读取，可能与此笔有关：{places}",
    ),
    "unproven_mark": ("[not proven] ", "[未证实] "),
    "no_state": (
        "The engine cannot replay this journal from entry #{seq} on, so what is owed is not known.",
        "从 #{seq} 起无法重放，未了事项不明。",
    ),
    "restart": ("meanwhile: {what}", "其间：{what}"),
    "decision_unknown": ("decision {decision}.", "决定 {decision}。"),
    # -- status
    "status_title": ("Terminal {terminal}, firmware {firmware}", "设备 {terminal}，固件 {firmware}"),
    "status_journal": ("Journal: entries {first} to {last}", "日志：条目 {first} 至 {last}"),
    "status_clock": ("Clock: {time} ({quality})", "时钟：{time}（{quality}）"),
    "status_next": ("Next: batch {batch}, STAN {stan}", "下一笔：批次 {batch}，凭证号 {stan}"),
    "status_owes": ("Owed: {what} of transaction #{txn}", "未了：交易 #{txn} 的{what}"),
    "status_owes_nothing": ("Owed: nothing", "未了：没有"),
    "status_says": ("It says: {message}", "提示：{message}"),
    "what2": ("the reversal", "冲正"),
    "what3": ("a slip", "单据"),
    "what4": ("an unresolved reversal", "未解决的冲正"),
    "what_other": ("something of kind {what}", "第 {what} 类事项"),
    "quality0": ("unknown", "未知"),
    "quality1": ("free-running", "自走"),
    "quality2": ("set by the host", "主机校时"),
    "quality3": ("set by a technician", "技术员校时"),
    **SETTLEMENT,
}


def say(lang: str, key: str, **values: object) -> str:
    """The text of `key` with its values, each made fit for a terminal."""
    text = _TEXT[key][1 if lang == "zh" else 0]
    return text.format(**{k: clean_text(str(v), 400) for k, v in values.items()})


def has(key: str) -> bool:
    """True if there is such a text."""
    return key in _TEXT


def numbered(lang: str, stem: str, number: object, fallback: str = "") -> str:
    """The text of `stem` + `number`, or the number itself if this version has no text for it."""
    key = f"{stem}{number}"
    return say(lang, key) if key in _TEXT else fallback or f"{stem} {number}"
