"""What posaudit says about batches, their settlement, and what the acquirer has booked: (English, Chinese) by key."""

from __future__ import annotations

SETTLEMENT: dict[str, tuple[str, str]] = {
    # -- entries
    "counting": ("; counted: {how}", "；计入方式：{how}"),
    "count0": ("{type} not", "{type}不计"),
    "count1": ("{type} as debit", "{type}计借记"),
    "count2": ("{type} as credit", "{type}计贷记"),
    "count3": ("{type} takes its original out", "{type}抵消原交易"),
    "settle_sent0": (
        "Close of day begun for batch {batch} ({reason}): no sale until the batch is closed",
        "批次 {batch} 开始结算（{reason}）：结算完成前不做交易",
    ),
    "settle_sent1": (
        "Totals of batch {batch} about to be sent (STAN {stan}): {totals}",
        "即将发送批次 {batch} 的总计（凭证号 {stan}）：{totals}",
    ),
    "settle_sent2": (
        "Upload for batch {batch} about to be sent (STAN {stan}), records: {count} ({records})",
        "即将上送批次 {batch} 的明细（凭证号 {stan}），{count} 笔（{records}）",
    ),
    "settle_sent3": (
        "End of upload for batch {batch} about to be sent (STAN {stan}), records: {count}",
        "即将发送批次 {batch} 的上送结束（凭证号 {stan}）：{count} 笔",
    ),
    "settle_sent4": (
        "Refused record {records} of batch {batch} about to be presented again (STAN {stan})",
        "即将重新上送批次 {batch} 被拒的 {records}（凭证号 {stan}）",
    ),
    "settle_sent": (
        "Settlement message of purpose {purpose} for batch {batch} (STAN {stan}), unknown to this version",
        "批次 {batch} 的结算报文，用途 {purpose}（凭证号 {stan}），本版本不认识",
    ),
    "settle_reply": ("{purpose}: {what}{flags}{then}{retry}", "{purpose}：{what}{flags}{then}{retry}"),
    "upload_reply": ("{purpose}: {what}{result}{retry}", "{purpose}：{what}{result}{retry}"),
    "purpose0": ("close of day", "日终"),
    "purpose1": ("totals", "总计"),
    "purpose2": ("upload", "明细上送"),
    "purpose3": ("end of upload", "上送结束"),
    "purpose4": ("record presented again", "重新上送"),
    "by1": ("by the operator", "操作员发起"),
    "by2": ("by the schedule", "定时发起"),
    "by3": ("the batch is full", "批次已满"),
    "by4": ("the journal is nearly full", "日志将满"),
    "by5": ("the vault is nearly full", "资料区将满"),
    "flags": ("; domestic {domestic}, international {international}", "；内卡{domestic}，外卡{international}"),
    "flag1": ("balanced", "对平"),
    "flag2": ("not balanced", "对不平"),
    "flag3": ("in error", "出错"),
    "then0": ("; the message is sent again", "；该报文将重发"),
    "then2": ("; every record is uploaded", "；须上送全部明细"),
    "then3": ("; the chip records are uploaded", "；须上送芯片卡明细"),
    "then4": ("; the end message follows", "；接着发送上送结束"),
    "then5": ("; agreed: the batch can be closed", "；双方一致：可以结束批次"),
    "refused_whole": (
        "the host answered {code} ({meaning}) after {time} and refuses the message as a whole",
        "主机应答 {code}（{meaning}），用时 {time}，整个报文未被接受",
    ),
    "refused_now": (
        "the host answered {code} ({meaning}) after {time} and does not accept it",
        "主机应答 {code}（{meaning}），用时 {time}，未被接受",
    ),
    "upload_all": ("; accepted: {count}", "；接受 {count} 笔"),
    "upload_some": ("; accepted: {accepted}, refused: {refused}", "；接受 {accepted} 笔，拒绝：{refused}"),
    "nth_record": ("number {place} of the message with {code}", "报文中第 {place} 笔，{code}"),
    "batch_closed": (
        "Batch {batch} closed {how}: {totals}. Uploaded {uploaded}, refused {refused}, reversals still owed "
        "{unresolved}. Next batch {next}",
        "批次 {batch} 结束，{how}：{totals}。上送 {uploaded} 笔，拒绝 {refused} 笔，未了冲正 {unresolved} 笔。"
        "下一批次 {next}",
    ),
    "how1": ("balanced", "对平"),
    "how2": ("after the upload of its records", "上送明细之后"),
    "how3": ("by a signed decision, without the host's agreement", "由签字决定，主机未确认"),
    "how_other": ("in way {how}, unknown to this version", "方式 {how}，本版本不认识"),
    "vault_destroyed": (
        "Vault key of batch {batch} destroyed; records still needed, encrypted again before: {moved}",
        "批次 {batch} 的资料密钥已销毁；此前有 {moved} 条仍需的资料已重新加密",
    ),
    "unsettled9": (
        "Batch {batch} is open past its deadline, since {time}",
        "批次 {batch} 超过期限未结算，自 {time} 起",
    ),
    "unsettled10": (
        "The acquirer's totals of batch {batch} differ",
        "批次 {batch} 与收单行的总计不符",
    ),
    "unsettled11": (
        "Record #{number} of batch {batch} was refused by the acquirer{code}",
        "批次 {batch} 的记录 #{number} 被收单行拒绝{code}",
    ),
    "unsettled": (
        "Batch {batch} is not settled after {number} attempts{code}: {cause}",
        "批次 {batch} 尝试 {number} 次仍未结算{code}：{cause}",
    ),
    "with_code": (", code {code}", "，代码 {code}"),
    "code_meaning": ("{code} ({meaning})", "{code}（{meaning}）"),
    "connect_fail_batch": ("Settlement: {what}", "结算：{what}"),
    "totals_none": ("nothing", "没有"),
    "totals_part": ("{scheme} {direction} {count} for {amount}", "{scheme}{direction} {count} 笔 {amount}"),
    "scheme0": ("domestic", "内卡"),
    "scheme1": ("international", "外卡"),
    "direction0": ("debit", "借记"),
    "direction1": ("credit", "贷记"),
    # -- the story of one batch
    "batch_title": ("Batch {batch}, entries #{first} to #{last}", "批次 {batch}，日志 #{first} 至 #{last}"),
    "batch_where": (
        "Terminal {tid}, merchant {mid} {merchant}",
        "终端 {tid}，商户 {mid} {merchant}",
    ),
    "batch_opened": (
        "Opened {time} with entry #{seq} ({type} of {amount})",
        "{time} 由 #{seq}（{type} {amount}）开始",
    ),
    "batch_empty": ("No transaction was made in it.", "其中没有交易。"),
    "head_counted": ("What was counted (added up here, from the entries)", "计入（由本工具按条目重新累加）"),
    "head_messages": ("Messages to the host", "发往主机的报文"),
    "head_anomalies": ("What went wrong", "异常"),
    "head_records": ("Records", "明细"),
    "head_slips": ("Slips", "单据"),
    "head_findings": ("FINDINGS: the journal contradicts itself", "问题：日志自相矛盾"),
    "counted_line": ("{scheme}, {direction}: {count} for {amount}", "{scheme}{direction}：{count} 笔，{amount}"),
    "counted_host": ("{line}; the acquirer has {count} for {amount}", "{line}；收单行为 {count} 笔，{amount}"),
    "counted_not": (
        "Not in it: {count} (not approved, reversed, cancelled, or of a kind that is not counted).",
        "另有 {count} 笔不计入（未批准、已冲正、已取消，或种类不计）。",
    ),
    "counting_unknown": (
        "Nothing: by its configuration this journal is of a firmware or profile without settlement.",
        "没有：按其配置，该日志来自没有结算功能的固件或参数。",
    ),
    "counting_no_config": (
        "Not known: the file begins after the configuration that says how.",
        "无法得知：文件起始于说明计入方式的配置之后。",
    ),
    "batch_partial": (
        "The file begins at #{seq}, after this batch did: what came before is unknown, so it cannot be checked.",
        "文件始于 #{seq}，晚于本批次开始：此前内容不明，无法核对。",
    ),
    "message": (
        "#{seq} {purpose}, STAN {stan}{records}: {fate}",
        "#{seq} {purpose}，凭证号 {stan}{records}：{fate}",
    ),
    "message_records": (", records: {count}", "，{count} 笔"),
    "fate_counted": ("answered {code} in #{seq}", "应答 {code}，#{seq}"),
    "fate_failed": ("no answer that counts", "没有作数的应答"),
    "fate_none": ("the journal holds no answer", "日志中没有应答"),
    "fate_tries": (", after {count} that did not count", "，此前 {count} 次不作数"),
    "messages_none": ("None was sent.", "没有发送。"),
    "records_line": (
        "Counted {counted}; uploaded and accepted {taken}; refused {refused}, of these accepted later {again}, "
        "written off {written}.",
        "计入 {counted} 笔，上送并被接受 {taken} 笔，被拒 {refused} 笔，其中后来接受 {again} 笔，核销 {written} 笔。",
    ),
    "record_line": (
        "#{number} STAN {stan}, {type} of {amount}, card {pan}: {fate}",
        "#{number} 凭证号 {stan}，{type} {amount}，卡号 {pan}：{fate}",
    ),
    "slip_printed": ('"{slip}" (for #{number}): printed', "“{slip}”（#{number}）：已打印"),
    "slip_failed": ('"{slip}" (for #{number}): not printed', "“{slip}”（#{number}）：未打印"),
    "slips_none": ("None was printed.", "没有打印。"),
    "batch_open": ("Open: close of day has not begun.", "未结算：尚未开始日终。"),
    "batch_begun": ("Close of day began {time} (#{seq}): {reason}.", "{time} 开始日终（#{seq}）：{reason}。"),
    "batch_reached": ("It has come to: {purpose}.", "进行到：{purpose}。"),
    "batch_closed_at": (
        "Closed {how}, {time} (#{seq}). The next batch is {next}.",
        "{time} 结束，{how}（#{seq}）。下一批次 {next}。",
    ),
    "batch_destroyed": (
        "Its vault key was destroyed, {time} (#{seq}); records still needed and kept: {moved}.",
        "资料密钥已于 {time} 销毁（#{seq}）；保留仍需的 {moved} 条。",
    ),
    "batch_not_destroyed": ("Its vault key is not destroyed yet.", "资料密钥尚未销毁。"),
    "batch_anomalies_none": ("Nothing.", "没有。"),
    "owed_settlement": ("The settlement: {phase}.", "结算：{phase}。"),
    "owed_vault": ("The destruction of its vault key.", "销毁其资料密钥。"),
    "owed_refused": (
        "Record #{number} (STAN {stan}), refused with {code}: present it again, or have a supervisor write it off.",
        "记录 #{number}（凭证号 {stan}），被拒 {code}：请重新上送，或由主管核销。",
    ),
    "owed_reversal_of": (
        "The reversal of #{number} (STAN {stan}, {amount}); its data are kept.",
        "#{number}（凭证号 {stan}，{amount}）的冲正；其资料仍保留。",
    ),
    "owed_slip_of": ("A slip that is not printed yet: {slip} (#{number}).", "一张未打印的单据：{slip}（#{number}）。"),
    "phase_settle1": ("begun, nothing sent yet", "已开始，尚未发送"),
    "phase_settle2": ("waiting for the totals to be answered", "等待总计的应答"),
    "phase_settle3": ("uploading", "正在上送"),
    "phase_settle4": ("waiting for the end message to be answered", "等待上送结束的应答"),
    "phase_settle5": ("agreed, to be closed", "双方一致，待结束批次"),
    "phase_settle6": ("presenting refused records again", "正在重新上送被拒记录"),
    "phase_settle0": ("open", "未开始"),
    "evidence_batch": (
        "Entries {seqs} of terminal {terminal}, journal {journal}",
        "设备 {terminal}，日志 {journal}，条目 {seqs}",
    ),
    "and_more": ("and {count} more: use --json", "另有 {count} 项：用 --json"),
    # -- contradictions in a journal
    "odd_totals": (
        "#{seq} says {said}; the entries before it add up to {counted}",
        "#{seq} 写为 {said}；此前条目累加为 {counted}",
    ),
    "odd_second_totals": (
        "#{seq} sends totals once more under another STAN or with other numbers than #{first}",
        "#{seq} 再次发送总计，凭证号或数字与 #{first} 不同",
    ),
    "odd_uncounted": (
        "#{seq} uploads #{number}, which is not counted in that batch",
        "#{seq} 上送了不计入该批次的 #{number}",
    ),
    "odd_again": (
        "#{seq} sends #{number} again, which the host had acknowledged and did not ask for",
        "#{seq} 重发 #{number}，而主机早已接受且未要求重发",
    ),
    "odd_not_judged": (
        "#{seq} closes the batch, but the host's answer to record #{number} is missing",
        "#{seq} 结束批次，但缺少主机对记录 #{number} 的应答",
    ),
    "odd_numbers": (
        "#{seq} says {what} {said}; the entries give {counted}",
        "#{seq} 写{what} {said}；按条目为 {counted}",
    ),
    "odd_codes": (
        "#{seq} judges {said} records of a message with {counted}",
        "#{seq} 判定 {said} 笔，而报文有 {counted} 笔",
    ),
    "odd_write_off": (
        "#{seq} writes off #{number}, which the host had not refused",
        "#{seq} 核销了主机并未拒绝的 #{number}",
    ),
    "odd_not_refused": (
        "#{seq} presents #{number} again, which the host had not refused",
        "#{seq} 重新上送了主机并未拒绝的 #{number}",
    ),
    "odd_nobody": (
        "#{seq} closes the batch by a signed decision, and there is none",
        "#{seq} 称由签字决定结束批次，但没有该决定",
    ),
    "odd_closed": ("#{seq} answers for a batch that is closed", "#{seq} 应答的批次早已结束"),
    "odd_reply": ("#{seq} answers a message that was never sent", "#{seq} 应答的报文从未发送"),
    "odd_vault": ("#{seq} destroys the vault key of a batch that is not closed", "#{seq} 销毁了未结束批次的资料密钥"),
    "odd_late": ("#{seq} changes what is counted after close of day had begun", "#{seq} 在日终开始之后改变了计入"),
    "odd_batch": ("#{seq} names batch {said}; the present one is {counted}", "#{seq} 写批次 {said}；当前为 {counted}"),
    "odd_agreed": ("#{seq} closes the batch, but the host never agreed", "#{seq} 结束批次，但主机从未确认"),
    "odd_not_begun": ("#{seq} belongs to a close of day that was not begun", "#{seq} 属于未曾开始的日终"),
    "what_uploaded": ("uploaded", "上送笔数"),
    "what_refused": ("refused", "拒绝笔数"),
    "what_unresolved": ("reversals still owed", "未了冲正"),
    "what_sent": ("records sent", "上送总笔数"),
    # -- one transaction's place in its batch
    "in_not_counted": ("Transactions of this kind are not counted in the batch.", "此类交易不计入批次。"),
    "in_taken_out": (
        "It and #{other} cancel each other: neither is in the totals, nor uploaded.",
        "与 #{other} 相互抵消：不计入总计，也不上送。",
    ),
    "in_open": ("Counted in batch {batch}, which is not closed yet.", "计入批次 {batch}，该批次尚未结束。"),
    "in_settled": (
        "Settled in batch {batch}, closed {how}, {time} (#{seq}).",
        "已在批次 {batch} 结算，{how}，{time}（#{seq}）。",
    ),
    "in_refused": (
        "Refused by the acquirer with {code} when batch {batch} was uploaded: it is not settled.",
        "批次 {batch} 上送时被收单行拒绝，{code}：尚未结算。",
    ),
    "in_written_off": (
        "Refused by the acquirer with {code}; {name} wrote it off, signed.",
        "被收单行拒绝，{code}；{name} 签字核销。",
    ),
    "in_by_human": (
        "Counted in batch {batch}, which a signed decision closed without the acquirer's agreement.",
        "计入批次 {batch}，该批次由签字决定结束，收单行未确认。",
    ),
    "in_no_batch": (
        "It stands, but was not counted when batch {batch} was closed.",
        "交易成立，但批次 {batch} 结束时未计入。",
    ),
    "in_uploaded": ("Uploaded, acknowledged with {code}.", "已上送，应答 {code}。"),
    "in_presented": ("Presented again: {codes}.", "重新上送：{codes}。"),
    "if_not_posted": ("If the money is not there yet: {cause}", "若尚未到账：{cause}"),
    "decided_batch": ("{name} closed the batch, signed. Reason given: {reason}", "{name} 签字结束批次。理由：{reason}"),
    # -- no such batch, or several
    "batches_are": ("The journal holds these batches:", "日志中有这些批次："),
    "batch_item": (
        "batch {batch}: entries #{first} to #{last}, transactions: {count}, {state}",
        "批次 {batch}：日志 #{first} 至 #{last}，{count} 笔，{state}",
    ),
    "state_closed": ("closed", "已结束"),
    "state_settling": ("close of day begun", "日终中"),
    "state_not_closed": ("open", "未结束"),
    # -- status
    "status_batch": (
        "Batch {batch}: {phase}, open since {time}; records acknowledged {acknowledged}, refused {refused}",
        "批次 {batch}：{phase}，自 {time} 起；已接受 {acknowledged} 笔，被拒 {refused} 笔",
    ),
    "status_batch_empty": ("Batch {batch}: {phase}, nothing in it yet", "批次 {batch}：{phase}，尚无交易"),
    "status_cause": ("Not settled because: {cause}", "未结算原因：{cause}"),
    "status_refused": (
        "Refused: record #{number} of batch {batch}, {code}",
        "被拒：批次 {batch} 的记录 #{number}，{code}",
    ),
    "owes5": ("Owed: the settlement of batch {txn}", "未了：批次 {txn} 的结算"),
    "owes6": ("Owed: the upload of the records of batch {txn}", "未了：批次 {txn} 的明细上送"),
    "owes7": (
        "Owed: the destruction of the vault key of batch {txn}, which is closed",
        "未了：销毁已结束批次 {txn} 的资料密钥",
    ),
    "owes8": ("Owed: a decision on refused record #{txn}", "未了：被拒记录 #{txn} 待处理"),
    "advice5": (
        "  The terminal goes on by itself. If the acquirer cannot settle this batch at all, a supervisor can close it: "
        "posaudit resolve --txn NUMBER --decision batch-closed. NUMBER is that of its close of day: pull the journal, "
        "then posaudit explain FILE --batch {txn}",
        "  终端会自动继续。若收单行无法结算该批次，主管可签字结束："
        "posaudit resolve --txn 编号 --decision batch-closed。"
        "编号为该次日终的日志号：先导出日志，再用 posaudit explain 文件 --batch {txn} 查看",
    ),
    "advice6": (
        "  The terminal goes on by itself where it stopped. Keep it on and connected.",
        "  终端会从中断处继续。请保持开机和联网。",
    ),
    "advice7": ("  The terminal does it by itself. Keep it on.", "  终端会自动完成。请保持开机。"),
    "advice8": (
        "  Ask the acquirer about its code, then present it again at the terminal; or let a supervisor write it off: "
        "posaudit resolve --txn {txn} --decision written-off",
        "  请向收单行查询其代码，再在终端上重新上送；或由主管核销：posaudit resolve --txn {txn} --decision written-off",
    ),
    # -- reconciliation
    "rec_title": (
        "{journal} transactions of the journal, {rows} rows of the acquirer: {agree} agree",
        "日志 {journal} 笔，收单行 {rows} 行：一致 {agree} 笔",
    ),
    "rec_ignored": ("{count} rows of other terminals or batches were left out", "其他终端或批次的 {count} 行未计"),
    "rec_no_tid": (
        "The acquirer's file holds no row of terminal {tids}. Check that it is the right file, or give --tid.",
        "收单行文件中没有终端 {tids} 的行。请检查文件，或用 --tid 指定。",
    ),
    "rec_no_settled": (
        "This ledger does not say what is settled: that part was not compared.",
        "该账本没有结算信息：这一部分未比较。",
    ),
    "rec_not_believed": (
        "Entries left out of the comparison because they are not proven or cannot be read: {count}",
        "未证实或无法读取、因而未参与比较的条目：{count} 条",
    ),
    "rec_partial": (
        "Batch {batch} begins before the file does: it is compared as far as the file goes.",
        "批次 {batch} 早于文件开始：只就文件所含比较。",
    ),
    "rec_no_filter": (
        "The journal holds nothing of {what}. It has: {known}.",
        "日志中没有 {what}。其中有：{known}。",
    ),
    "rec_needs_tid": (
        "The file begins after the configuration that names the terminal's TID: give it with --tid.",
        "文件起始于写有终端号的配置之后：请用 --tid 指定。",
    ),
    "rec_contradictions": ("The journal contradicts itself", "日志自相矛盾"),
    "rec_none": ("Nothing differs.", "没有差异。"),
    "rec_item": (
        "batch {batch} STAN {stan}{txn} {type} of {amount}: journal: {journal}; acquirer: {acquirer}",
        "批次 {batch} 凭证号 {stan}{txn} {type} {amount}：日志：{journal}；收单行：{acquirer}",
    ),
    "rec_only_in_journal": ("Only in the journal", "只在日志中"),
    "rec_only_at_acquirer": ("Only at the acquirer", "只在收单行"),
    "rec_twice_at_acquirer": ("More than once at the acquirer", "收单行重复"),
    "rec_differs": ("Another type, currency or card", "种类、币种或卡号不同"),
    "rec_amount_differs": ("Another amount", "金额不同"),
    "rec_reversed_one_side": ("Reversed on one side only", "仅一方已冲正"),
    "rec_approved_one_side": ("Approved on one side only", "仅一方已批准"),
    "rec_settled_one_side": ("Settled on one side only, or in another batch", "仅一方已结算，或批次不同"),
    "rec_closed_by_human": (
        "In a batch closed by a signed decision, and not settled at the acquirer",
        "批次由签字决定结束，收单行未结算",
    ),
    "rec_unresolved": (
        "Not finished: a reversal is owed or unresolved, or it is in no batch",
        "未了：冲正未完成，或不在任何批次中",
    ),
    "rec_refused": ("Refused by the acquirer at the upload", "上送时被收单行拒绝"),
    "rec_written_off": ("Written off by a signed decision (no finding)", "已签字核销（不算问题）"),
    "side_none": ("nothing", "没有"),
    "side_settled": ("settled in batch {batch}", "在批次 {batch} 结算"),
    "side_not_settled": ("not settled", "未结算"),
    "side_code": ("upload code {code}", "上送代码 {code}"),
    "j_open": ("no outcome written", "没有写下结果"),
    "j_approved": ("approved", "已批准"),
    "j_declined": ("declined", "未批准"),
    "j_not_sent": ("not sent", "未发送"),
    "j_reversal_owed": ("reversal owed", "待冲正"),
    "j_unresolved": ("reversal unresolved", "冲正未果"),
    "j_reversed": ("reversed", "已冲正"),
    "j_closed_by_human": ("closed by a human decision", "人工了结"),
    "j_charged": ("charged, by a human decision", "人工确认已扣款"),
    "s_not_counted": ("not counted", "不计入"),
    "s_taken_out": ("cancelled out", "相互抵消"),
    "s_open": ("batch open", "批次未结束"),
    "s_settled": ("settled", "已结算"),
    "s_refused": ("refused with {code}", "被拒 {code}"),
    "s_written_off": ("refused with {code}, written off", "被拒 {code}，已核销"),
    "s_by_human": ("batch closed by a signed decision", "批次由签字决定结束"),
    "s_no_batch": ("in no batch", "不在任何批次中"),
    "s_none": ("", ""),
}
