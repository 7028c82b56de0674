"""English texts for posfw.receipt.text. One entry a line: key, one blank, text. text_zh has the same keys."""

# Labels and words on slips; sentences on slips, one of which the operator is shown too.
TEXT = (
    """
merchant MERCHANT
mid MID
tid TID
terminal_id DEVICE
acquirer ACQUIRER
phone CALL
operator OPERATOR
batch BATCH
next_batch NEXT BATCH
opened OPENED
stan STAN
original_stan ORIG. STAN
rrn RRN
auth AUTH
amount AMOUNT
minor The amount is in the currency's smallest unit.
currency CURRENCY
type TYPE
mode ENTRY
scheme SCHEME
pan CARD
aid AID
time TIME
cause CAUSE
code REPLY CODE
reason REASON
attempts ATTEMPTS
tries ATTEMPTS
decision DECISION
name BY
next WHAT HAPPENS NEXT
seq JOURNAL
head HEAD
none NONE
totals TOTALS
count COUNT
debit DEBIT
credit CREDIT
cards1 DOMESTIC
cards2 INT'L
flag1 BALANCED
flag2 UNBALANCED
flag3 ERROR
uploaded UPLOADED
refused REFUSED
unresolved UNRESOLVED
type1 SALE
type2 VOID
type3 REFUND
type4 PRE-AUTH
type5 COMPLETION
type6 PRE-AUTH VOID
mode1 KEYED
mode2 SWIPE
mode5 CHIP
mode7 TAP
scheme1 DOMESTIC
scheme2 INTERNATIONAL
decision1 The acquirer confirmed: reversed.
decision2 The acquirer confirmed: carried out, charged.
decision3 Settled by other means.
decision4 The refused record is written off; the terminal presents it no more.
decision5 The batch was closed without the acquirer; the terminal settles it no more.
slip4 DECLINED
slip5 PENDING REVERSAL
slip_unknown OUTCOME UNKNOWN
slip6 REVERSED
slip7 UNRESOLVED
slip8 REVERSAL FAILED: HANDLE BY HAND
slip9 SETTLEMENT
slip10 SETTLEMENT INCOMPLETE
slip_differ TOTALS DIFFER
slip11 TECHNICIAN
slip14 CLOSED BY HAND
slip15 NOT SENT
slip16 UPLOAD INCOMPLETE
slip17 BATCH NOT SETTLED
slip18 TRANSACTION LIST
approved_slip APPROVED
customer_copy CARDHOLDER COPY
merchant_copy MERCHANT COPY
no_voucher NOT PROOF OF PAYMENT
reprint REPRINT
reprint_note May have been printed before: it counts once.
""",
    """
check CHECK BEFORE PAYING AGAIN
may_charge Whether the card was charged (or an amount held) is not known yet.
may_undo Whether this void or refund took place is not known yet.
was_charge The bank approved it: money may be taken or held.
was_undo The bank approved this void or refund.
auto The terminal sends a reversal by itself until the acquirer accepts it.
auto_slow The terminal still retries the reversal from time to time.
keep Keep this slip.
done_charge The acquirer accepted the reversal: this payment does not count. If charged, the bank refunds it.
done_undo The acquirer accepted the reversal: this void or refund did not take place. It can be done again.
ask_acquirer Ask the acquirer with the numbers above. This stays open until it is resolved.
handle Ask the acquirer if this was carried out. Only an accepted reversal or a signed decision closes it.
declined_note No transaction was made.
not_sent_note Nothing was sent to the bank and nothing was charged. You may try again.
human_note The terminal no longer reverses this transaction.
closed1 The acquirer confirmed that the totals balance.
closed2 Closed after uploading the records; the acquirer confirmed it.
closed3 Closed by a supervisor's signed decision, without the acquirer's confirmation.
no_host_totals The acquirer's totals are not known.
refused_note Refused records stay open: present them again once the batch is closed, or have them written off.
lost_note The data of this record are lost: it cannot be uploaded. Ask the acquirer, then have it written off.
unresolved_note These reversals of this batch are still owed; closing does not erase their data.
not_closed No new sale until the batch is closed; its records are kept.
settle_retry The terminal retries from time to time. If that fails, call the acquirer or have the batch closed by hand.
upload_next The terminal uploads each record and closes the batch once the acquirer has answered for all.
differ_note The acquirer says balanced, yet its figures differ. Call the acquirer.
settle_now Settle now.
unknown_code meaning unknown, ask the acquirer
unknown_cause cause unknown to this version
profile_error Acquirer profile has an error, no sales. Call service %s
""",
)

# Cause number and audience: c customer, m merchant. The technician's stand in text_technician.
CAUSES = (
    """
0c The cause is not known yet.
0m The cause is not known yet.
1c The connection between terminal and bank was down.
1m Connection down. Check the network (cable, Wi-Fi, SIM card).
2c The network was congested; the bank's answer did not arrive in time.
2m The network is very slow. Do not swipe twice; if it recurs, change the line.
3c The bank did not answer.
3m The bank's host did not answer; outcome unknown. Do not repeat the transaction.
4c The bank's system was busy or under maintenance.
4m The bank's host is busy or under maintenance (see code). If it recurs, call the acquirer.
5c The bank's answer was damaged on its way and cannot count.
5m The answer was incomplete or did not match, so it does not count.
6c The bank's answer failed its security check and cannot count.
6m The answer failed its security check. Sign on again; if it recurs, call the acquirer.
7c The card's bank did not approve this transaction.
7m The card's bank did not approve. Another card, or the customer calls that bank.
8c The acquirer did not accept this merchant's transaction. Your card is not the reason.
8m Merchant or settlement account not accepted. Check merchant data with the acquirer: MID, TID, account.
9c The merchant's batch is not settled yet; the money is on its way.
9m Batch not settled, or its clearing file was never sent. Settle; if that fails, call the acquirer.
""",
    """
10c The books of merchant and acquirer differ and are being compared.
10m The totals of terminal and acquirer differ. Compare both, and keep all slips.
11c The acquirer did not accept one of the merchant's records; it is being handled.
11m The acquirer did not take an uploaded record. Call the acquirer with its STAN.
12c The bank approved, then the terminal failed; the transaction has to be taken back.
12m The terminal failed after the approval; the transaction has to be reversed. Call service.
13c The terminal lost power during the transaction; the outcome is unknown.
13m Power was lost during the transaction; outcome unknown. Do not repeat it; check the supply.
14c Approved and settled; the money is not posted yet. The bank is processing it.
14m The terminal's books are closed; the bank is processing. Ask the acquirer with the RRN.
15c The terminal cannot reverse this by itself; it has to be handled by people.
15m The data for a reversal are lost; the terminal cannot send it. Call the acquirer with the slip.
16c After the approval, merchant or card cancelled the transaction.
16m Cancelled by merchant or refused by the card after approval; it has to be reversed.
17c The acquirer does not take the reversal back yet. Do not pay again before asking.
17m The acquirer refuses the reversal. Call it and give batch, STAN and RRN.
18c The terminal could not record the outcome. It is being reversed.
18m The outcome could not be recorded; it is being reversed. Have the terminal checked.
""",
)

# DE39. Wordings differ between networks: these are the common ones, not verified against any standard.
CODES = (
    """
00 Approved
01 Call the card's bank
03 Invalid merchant
04 Keep the card
05 Not approved by the card's bank
06 Error
09 In progress
12 Invalid transaction
13 Invalid amount
14 Invalid card number
15 Card's bank not found
19 Try again
22 Wrong operation
25 Original not found
30 Message format error
34 Suspected fraud
38 Too many wrong PINs
40 Function not supported
41 Card reported lost
43 Card reported stolen
45 No fallback: insert the chip
51 Insufficient funds
54 Card expired
55 Wrong PIN
57 Not permitted to this card
58 Not permitted to this terminal
59 Suspected fraud
61 Amount above the limit
62 Restricted card
63 Security violation
64 Amount differs from the original
65 Too many transactions
66 Call the acquirer
68 Card's bank answered too late
75 Too many wrong PINs
77 Sign on again
90 End of day, try later
91 Card's bank not available
92 No route to the card's bank
94 Duplicate transaction
95 Totals differ
96 System fault
97 Terminal not registered
98 No answer from the card's bank
99 PIN format error
A0 Security check (MAC) failed
""",
)
