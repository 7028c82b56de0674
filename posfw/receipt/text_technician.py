"""Causes as a technician is told them: host tools and the technician's slip. Apart, so that a selling terminal
does not hold them in memory. Lines as in text_zh and text_en."""

ZH = (
    """
0t 日志中没有原因。
1t 连接失败。按CONNECT_FAIL的阶段检查：域名、线路、防火墙、TLS证书。
2t 往返时间长、重试多。检查信号、带宽和丢包。
3t 报文可能已到主机，超时前无应答。按批次号和凭证号查收单行日志。
4t 主机返回忙或维护类应答码。向收单行确认维护时段。
5t 应答无法解析，或MTI、STAN、TID、金额不符。检查中间设备和报文参数。
6t 应答MAC错误。核对主密钥、工作密钥和签到，排除报文被改动。
7t 发卡行返回拒绝码。通信正常，终端无须处理。
8t 商户类应答码。核对商户资料：商户编号、终端编号、结算账户和开通状态。
9t 批次逾期未关闭，或收单行从未送出清算文件。核对结算记录和收单行日志。
10t 结算应答对不平。双方总计在SETTLE_SENT和SETTLE_REPLY中，按内外卡和借贷比较，再查上送记录。
11t 上送到第n笔时被拒，n为UNSETTLED所列INTENT序号。按其应答码核对该笔和收单行的要求。
12t 批准后本机故障。查FAULT记录、存储和读卡器。
13t 发送之后重启，没有应答记录。检查电源、电池和复位原因。
14t 批次已平，终端无欠账。凭参考号向收单行追踪。
15t 资料区记录或其密钥丢失，无法重发。查FAULT记录和密钥库。
16t 联机批准后卡片返回AAC，或操作员取消。
17t 冲正应答码不在受理之列，见 REVERSAL_REPLY；请收单行查明原因。
18t 发送后未能写入结果，查 FAULT 记录与闪存。
""",
)

EN = (
    """
0t The journal names no cause.
1t Connecting failed. Check by stage of CONNECT_FAIL: name, line, firewall, TLS certificate.
2t Long round trips, many retries. Check signal, bandwidth and packet loss.
3t The message may have arrived; no answer in time. Look up batch and STAN in the acquirer's log.
4t Host sent a busy or maintenance code. Ask the acquirer for its maintenance hours.
5t Reply does not parse, or MTI, STAN, TID or amount differ. Check middleboxes and field settings.
6t Reply MAC is bad. Check master key, working key and sign-on; rule out altered messages.
7t The issuer declined. Communication is in order; nothing to repair.
8t Merchant-related code. Check merchant data: MID, TID, account, and that they are activated.
9t Batch open past its deadline, or clearing file never sent. Compare settlement entries and the acquirer's log.
10t Totals differ. Both are in SETTLE_SENT and SETTLE_REPLY: compare by scheme and direction, then the upload entries.
11t Refused at record n: the INTENT that UNSETTLED names. Compare it, by its code, with the acquirer's rules.
12t Terminal fault after approval. Check FAULT entries, flash and card reader.
13t Restart after sending, no reply on record. Check supply, battery and reset cause.
14t Batch balanced, nothing owed. Trace the RRN with the acquirer.
15t Vault record or its key lost; nothing to replay. Check FAULT entries and key store.
16t Card answered AAC after online approval, or the operator cancelled.
17t The reversal's reply code is not one that accepts; see REVERSAL_REPLY and ask the acquirer why.
18t The outcome was not journaled after sending. Check FAULT entries and flash.
""",
)
