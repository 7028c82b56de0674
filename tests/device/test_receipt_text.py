from posfw.receipt import text


def test_lookup_is_by_whole_key():
    assert text.text("zh", "stan") == "凭证号"
    assert text.text("en", "original_stan") == "ORIG. STAN"
    assert text.both("type1") == "消费 SALE"
    assert text.find("en", "sta") is None
    assert text.find("en", "") is None


def test_unknown_keys_languages_and_audiences_are_errors():
    for call in (
        lambda: text.text("zh", "no_such_key"),
        lambda: text.text("fr", "ready"),
        lambda: text.message("en", "no_such_key", 1),
        lambda: text.cause_text("en", "judge", 3),
    ):
        try:
            call()
        except text.TextError as e:
            assert "'" in str(e)  # the message names what was asked for
        else:
            raise AssertionError("a wrong key was accepted")


def test_each_cause_for_each_audience_in_both_languages():
    seen = []
    for lang in ("zh", "en"):
        for audience in text.AUDIENCES:
            for cause in range(19):
                sentence = text.cause_text(lang, audience, cause)
                assert len(sentence) > 5 and sentence[-1] in ".。", (lang, audience, cause)
                if cause:
                    assert sentence not in seen, sentence
                seen.append(sentence)
    assert text.cause_text("en", "merchant", 99).endswith(" 99")


def test_cause_numbers_are_not_prefixes_of_each_other():
    assert text.cause_text("en", "customer", 1) == "The connection between terminal and bank was down."
    assert "lost power" in text.cause_text("en", "customer", 13)


def test_response_codes():
    assert text.code_text("zh", "51") == "余额不足"
    assert text.code_text("en", "A0") == "Security check (MAC) failed"
    for hostile in ("", "Z9", "5", "51 ", "\n", "51\n54", "%s"):
        assert text.code_text("en", hostile) == "meaning unknown, ask the acquirer"


def test_messages_take_any_number_of_arguments():
    assert text.message("zh", "declined", "51") == "交易未批准 51 余额不足"
    assert text.message("en", "declined") == "Declined"
    assert text.message("en", "declined", "05", 7) == "Declined 05 Not approved by the card's bank (7)"
    assert text.message("en", "approved", "100% %s") == "Approved 100% %s"
    assert text.message("en", "ready", 1, None) == "Ready (1) (None)"
    assert text.message("zh", "profile_error", 7).endswith("维护人员 7")  # of slips and display both
