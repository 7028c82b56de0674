"""Chinese texts for posfw.receipt.text. One entry a line: key, one blank, text. text_en has the same keys."""

# Each table is several strings, searched in turn: a terminal whose heap is in use for days finds room for 2 KB
# where it finds none for 4.

# Labels and words on slips; sentences on slips, one of which the operator is shown too.
TEXT = (
    """
merchant 商户名称
mid 商户编号
tid 终端编号
terminal_id 设备号
acquirer 收单行
phone 请致电
operator 操作员
batch 批次号
next_batch 下一批次
opened 首笔
stan 凭证号
original_stan 原凭证号
rrn 参考号
auth 授权码
amount 金额
minor 金额以最小货币单位表示。
currency 货币
type 交易
mode 读卡方式
scheme 卡别
pan 卡号
aid 应用标识
time 时间
cause 原因
code 应答码
reason 冲正原因码
attempts 冲正次数
tries 结算次数
decision 处理结果
name 处理人
next 后续
seq 日志序号
head 链头
none 无
totals 总计
count 笔数
debit 借记
credit 贷记
cards1 内卡
cards2 外卡
flag1 对平
flag2 对不平
flag3 出错
uploaded 上送成功
refused 被拒
unresolved 未了结冲正
type1 消费
type2 消费撤销
type3 退货
type4 预授权
type5 预授权完成
type6 预授权撤销
mode1 手输
mode2 刷卡
mode5 插卡
mode7 挥卡
scheme1 境内
scheme2 境外
decision1 收单行确认：已冲正。
decision2 收单行确认：已入账（已扣款）。
decision3 已用其他方式了结。
decision4 被拒的记录已核销，终端不再上送。
decision5 批次未经收单行结清而关闭，终端不再结算此批。
slip4 交易未批准
slip5 待冲正
slip_unknown 结果未知
slip6 已冲正
slip7 冲正未完成
slip8 冲正不成功,请人工处理
slip9 结算单
slip10 结算未完成
slip_differ 结算对不平
slip11 技术单
slip14 人工了结
slip15 未发送
slip16 上送不完整
slip17 未结算提醒
slip18 交易明细
approved_slip 交易成功
customer_copy 持卡人存根
merchant_copy 商户存根
no_voucher 非凭证联
reprint 重印
reprint_note 此单可能已打印过，只算一次。
""",
    """
check 请先查询,勿重复交易
may_charge 是否已扣款（或冻结），目前还不知道。
may_undo 这笔撤销或退货是否生效，目前还不知道。
was_charge 银行已批准，款项可能已扣或冻结。
was_undo 银行已批准这笔撤销或退货。
auto 终端会自动冲正，直到收单行接受。
auto_slow 终端仍会定期重试冲正。
keep 请保留此单。
done_charge 收单行已接受冲正，此笔交易不成立。若已扣款，由发卡银行退回。
done_undo 收单行已接受冲正，这笔撤销或退货未生效，可重新办理。
ask_acquirer 请凭上列号码向收单行查询，了结之前此笔一直保留。
handle 请凭此单向收单行查明此笔是否已入账。只有收单行接受冲正，或主管签署的处理，才能了结。
declined_note 此笔交易未成立。
not_sent_note 请求没有发往银行，没有扣款，可以再试。
human_note 终端对此笔不再冲正。
closed1 收单行确认总计对平。
closed2 经逐笔上送，收单行确认后关闭。
closed3 按主管签署的处理关闭，没有收单行的确认。
no_host_totals 收单行的总计未知。
refused_note 被拒的记录仍未了结：批次关闭后可重新上送，或由主管签署核销。
lost_note 此笔所需资料已丢失，无法上送。请向收单行查明，再由主管签署核销。
unresolved_note 本批次的上列冲正仍未了结，结算不清除其资料。
not_closed 批次关闭之前不能做新交易，记录都保留。
settle_retry 终端仍会定期重试结算。若不成，请致电收单行，或由主管签署关闭批次。
upload_next 终端逐笔上送记录，收单行全部答复后关闭批次。
differ_note 收单行称对平，数字却不同。请致电收单行。
settle_now 请现在结算。
unknown_code 含义不明，请向收单行查询
unknown_cause 本版本不认识的原因
profile_error 收单参数有错，不能交易。请联系维护人员 %s
""",
)

# Cause number and audience: c customer, m merchant. The technician's stand in text_technician.
CAUSES = (
    """
0c 原因尚未查明。
0m 原因尚未查明。
1c 终端与银行之间的通信中断。
1m 通信中断。请检查网络（网线、Wi-Fi、SIM卡）。
2c 网络拥堵，银行的答复没有及时到达。
2m 网络很慢。请勿重复刷卡；经常发生时请换线路。
3c 银行没有答复。
3m 银行主机没有答复，结果未知。请勿重复交易。
4c 银行系统正忙或在维护。
4m 银行主机正忙或在维护（见应答码）。经常发生时请联系收单行。
5c 银行的答复在途中损坏，不能作数。
5m 收到的答复残缺或不相符，不能作数。
6c 银行的答复没有通过安全校验，不能作数。
6m 答复的安全校验失败。请重新签到，再发生请联系收单行。
7c 发卡银行没有批准这笔交易。
7m 发卡银行没有批准。顾客可换卡，或联系发卡银行。
8c 收单行没有接受本商户的交易，与您的卡无关。
8m 商户或结算账户未被接受。请向收单行核对商户资料：商户编号、终端编号、账户。
9c 商户的批次尚未结算，款项还在途中。
9m 批次没有结算，或清算文件从未送出。请做结算，仍不成请联系收单行。
""",
    """
10c 商户与收单行的账目有出入，正在核对。
10m 双方的结算总计对不平。请对照双方数字，并保留签购单。
11c 商户的一笔记录没有被收单行接受，正在处理。
11m 上送的一笔记录没有被收单行收下。请凭其凭证号联系收单行。
12c 银行已批准，但终端随后发生故障，交易须撤回。
12m 批准后终端发生故障，交易须冲正。请联系维护人员。
13c 交易途中终端断电，结果未知。
13m 交易途中断电，结果未知。请勿重复交易，并检查电源。
14c 银行已批准并结算，款项尚未入账，银行正在处理。
14m 本机账目已结清，款项由银行处理。可凭参考号向收单行查询。
15c 终端无法自动冲正，须由人工处理。
15m 冲正所需资料已丢失，终端无法自动冲正。请凭单据联系收单行。
16c 批准之后，交易被商户或卡片取消。
16m 批准之后被商户取消或被卡片拒绝，交易须冲正。
17c 收单行暂未受理冲正，请先查询，勿重复付款。
17m 收单行拒绝冲正，请致电并提供批次号、凭证号和参考号。
18c 终端未能记录交易结果，正在冲正。
18m 交易结果未能记录，正在冲正，请检修终端。
""",
)

# DE39. Wordings differ between networks: these are the common ones, not verified against any standard.
CODES = (
    """
00 交易成功
01 请联系发卡银行
03 商户无效
04 此卡须没收
05 发卡银行不予批准
06 发生错误
09 正在处理
12 交易无效
13 金额无效
14 卡号无效
15 找不到发卡银行
19 请重新交易
22 操作有误
25 找不到原交易
30 报文格式错误
34 有作弊嫌疑
38 密码错误次数超限
40 不支持此功能
41 此卡已挂失
43 此卡已报失窃
45 不许降级交易，请插卡
51 余额不足
54 卡已过期
55 密码错误
57 此卡不许做此交易
58 此终端不许做此交易
59 有作弊嫌疑
61 超出金额限制
62 此卡受限制
63 违反安全规定
64 与原交易金额不符
65 超出交易次数限制
66 请联系收单行
68 发卡银行答复超时
75 密码错误次数超限
77 请重新签到
90 系统日终处理，请稍后再试
91 发卡银行暂时不能处理
92 找不到发卡银行的线路
94 重复交易
95 账目不平
96 系统故障
97 终端未登记
98 发卡银行没有答复
99 密码格式错误
A0 安全校验（MAC）错误
""",
)
