"""What only the operator's display says, never paper: apart, for boards whose host words the display, and so that a
slip is printed without it in memory. Lines as in text_zh and text_en; %s and %c: see posfw.receipt.text.message."""

ZH = (
    """
ready 就绪
connecting 正在连接收单行，请稍候
approved 交易成功 %s
declined 交易未批准 %c
unknown_outcome 结果未知，已转冲正，请勿重复交易
cancelled 已撤销，正在向银行发送冲正
not_sent 没有发出，没有扣款，可以再试
reversal_sending 正在冲正，请稍候
reversal_done 冲正已被接受
reversal_pending_block 有冲正未完成，收单行接受之前不能做新交易
reversal_unresolved 冲正不成功,请人工处理
journal_full 记录存储已满，不能交易。请技术员导出记录，再由审计员释放
flash_failed 存储写入失败，不能交易。请联系维护人员
vault_full 冲正资料区已满，不能交易。请先完成冲正或结算
keystore_fault 密钥库故障，不能交易。请联系维护人员
seal_mismatch 记录与密钥不符，不能交易。请技术员先导出记录核查
journal_newer 日志来自较新固件，暂停交易，请升级固件
clock_back 时钟被拨回，不能交易。请技术员校时
clock_unknown 时钟未设定，不能交易。请签到或由技术员校时
tampered 机壳曾被打开，密钥已清除，本机停用
paper_out 打印机缺纸，装纸后自动补打
printer_fault 打印机故障，排除后自动补打
slip_owed 还有单据没有打印
""",
    """
not_signed_on 请先签到
signon_ok 签到成功
signon_failed 签到失败 %s
bad_request 请求不完整或有误 %s
bad_amount 金额无效
bad_card 卡片数据无效，请重新读卡
original_not_found 找不到原交易
already_voided 原交易已撤销
batch_limit 本批笔数已满，请先结算
stan_exhausted 本批凭证号已用完，请先结算
link_down 连不上收单行，请检查网络
wrong_config 终端参数不符，不能交易。请联系维护人员 %s
debt_limit 未完成的冲正已达上限，不能做新交易
busy 正在处理，请稍候
out_of_memory 内存不足，请重新启动终端
settling 正在结算，请稍候
settled 结算完成
settle_failed 结算未完成 %c
settle_unresolved 有冲正未了结，了结之前不能结算
batch_empty 本批没有交易，无须结算
batch_overdue 批次逾期未结算，请现在结算
totals_differ 总计对不平，须逐笔上送
uploading 正在上送，已答复%s笔
upload_blocked 被拒的记录过多，上送暂停。请主管签署核销
record_refused 收单行拒绝一笔记录，详见其凭条
present_failed 未收到答复，请稍后再试
presenting 正在重新上送被拒的记录
presented 被拒的记录已重新上送
nothing_refused 没有被拒的记录
detail_done 明细已打印
""",
)

EN = (
    """
ready Ready
connecting Connecting to the acquirer, please wait
approved Approved %s
declined Declined %c
unknown_outcome Outcome unknown, being reversed. Do not repeat the transaction
cancelled Cancelled. A reversal is on its way to the bank
not_sent Not sent, nothing charged. You may try again
reversal_sending Sending a reversal, please wait
reversal_done Reversal accepted
reversal_pending_block A reversal is owed: no new sale until the acquirer has accepted it
reversal_unresolved Reversal failed: handle by hand
journal_full Journal full, no sales. A technician must pull it and an auditor release it
flash_failed Flash write failed, no sales. Call service
vault_full Replay store full, no sales. Let reversals finish, or settle
keystore_fault Key store fault, no sales. Call service
seal_mismatch Journal and keys do not fit, no sales. A technician must pull the journal first
journal_newer Journal of a newer firmware, no sales. Update the firmware
clock_back Clock was set back, no sales. A technician must set it
clock_unknown Clock not set, no sales. Sign on, or let a technician set it
tampered The case was opened: keys erased, terminal out of use
paper_out Printer out of paper: the slip is printed once paper is in
printer_fault Printer fault: the slip is printed once it is cleared
slip_owed A slip is still to be printed
""",
    """
not_signed_on Sign on first
signon_ok Signed on
signon_failed Sign-on failed %s
bad_request Request incomplete or wrong %s
bad_amount Amount not valid
bad_card Card data not valid, read the card again
original_not_found Original transaction not found
already_voided Original transaction already voided
batch_limit Batch is full, settle first
stan_exhausted STANs of this batch used up, settle first
link_down Acquirer cannot be reached, check the network
wrong_config Terminal settings do not fit, no sales. Call service %s
debt_limit Too many reversals owed: no new sale
busy Busy, please wait
out_of_memory Out of memory, restart the terminal
settling Settling, please wait
settled Settled
settle_failed Settlement incomplete %c
settle_unresolved A reversal is unresolved: no settlement until it is closed
batch_empty Batch is empty, nothing to settle
batch_overdue Batch overdue: settle now
totals_differ Totals differ: the records have to be uploaded
uploading Uploading, answered: %s
upload_blocked Too many refused records, upload waits. Have a supervisor write some off
record_refused A record was refused: see its slip
present_failed The record was not answered. Try again later
presenting Presenting refused records again
presented Refused records were presented again
nothing_refused No refused records
detail_done List printed
""",
)
