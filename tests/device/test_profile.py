"""Profiles and settings that are not usable are refused with a text that names the place, whatever they hold."""

from sim import SETTINGS, profile

from posfw.acquirer.profile import Profile, ProfileError

HEAP = "512K"  # a profile is read anew for each case

def make(data, settings=SETTINGS):
    return Profile(data, settings, "T-0001", bytes(32))


def refused(data, settings=SETTINGS):
    try:
        make(data, settings)
    except ProfileError as error:
        assert str(error)
        return str(error)
    except Exception as error:  # noqa: BLE001  which type is the point
        raise AssertionError("raised %r" % (error,))
    raise AssertionError("accepted")


def with_part(name, **changes):
    data = profile()
    part = dict(data.get(name, {}))
    for key, value in changes.items():
        if value is KeyError:
            part.pop(key, None)
        else:
            part[key] = value
    data[name] = part
    return data


def test_the_shipped_profiles_are_accepted():
    for name in ("unionpay", "iso8583_1987"):
        data = profile(name)
        made = make(data)
        assert made.config[1:4] == [SETTINGS["tid"], SETTINGS["mid"], SETTINGS["merchant"]]
        assert made.offers(1)


def test_things_that_are_no_profile():
    for data in (None, [], "x", 5, {}, {"format": "posfw-profile/2"}, profile(format="other")):
        refused(data)


def test_each_part_missing_or_of_another_type():
    for name in ("name", "iso", "framing", "messages", "codes", "reasons", "retry"):
        data = profile()
        del data[name]
        refused(data)
        for wrong in (None, [], 5, ""):
            data[name] = wrong
            refused(data)


def test_optional_parts_of_another_type():
    for name in ("mac", "gate", "batch", "clock", "vault", "receipt"):
        for wrong in ([1], 5, "x"):
            refused(profile(**{name: wrong}))


def test_numbers_out_of_range():
    for name, key, values in (
        ("framing", "max_message", (0, 63, 8193, 65535, "1024", None, 1.5, KeyError)),
        ("retry", "attempts", (0, -1, "3", KeyError)),
        ("retry", "reply_timeout_ms", (0, 86400001, KeyError)),
        ("retry", "base_ms", (0, None)),
        ("gate", "policy", ("allow", 5)),
        ("batch", "limit", (0, 1000000, KeyError)),
        ("clock", "tolerance_s", (-1, 86401, KeyError)),
        ("receipt", "width", (31, 49, "32")),
    ):
        for value in values:
            text = refused(with_part(name, **{key: value}))
            assert key in text, (name, key, value, text)
    for limit in (-1, 6, 100, None):
        refused(profile(gate={"policy": "warn", "limit": limit}))
    assert make(profile(gate={"policy": "warn", "limit": 5})).gate_limit == 5


def test_booleans_are_no_numbers():
    # JSON's true is an int on CPython: attempts true would be one attempt there and an error on the terminal.
    refused(with_part("retry", attempts=True))


def test_framing_that_is_not_hex():
    for tpdu in ("6", "zz", "", 5, None):
        refused(with_part("framing", tpdu=tpdu))
    for header in ("6", "zz", 5):
        refused(with_part("framing", header=header))


def test_fields_the_codec_does_not_know():
    for fields in ({"4": "x12"}, {"x": "n12"}, {"0": "n12"}, {"1": "n12"}, {"129": "n12"}, {"4": 5}, {"4": ""}, [], 5):
        refused(with_part("iso", fields=fields))


def test_messages_without_their_parts():
    for table in (None, [], {}, {"mti": "0200"}, {"fields": {}}, {"mti": "0200", "fields": []}):
        messages = dict(profile()["messages"])
        messages["sale"] = table
        refused(profile(messages=messages))
    for name in ("sale", "reversal", "signon"):
        messages = dict(profile()["messages"])
        del messages[name]
        assert name in refused(profile(messages=messages))


def test_codes_and_reasons():
    for key in ("approved", "reversal_accepted"):
        refused(with_part("codes", **{key: KeyError}))
    for key in ("silence", "fault", "bad_mac", "other"):
        assert key in refused(with_part("reasons", **{key: KeyError}))


def test_a_mac_of_another_kind():
    for mac in ({"algorithm": "x9.19", "field": 64}, {"field": 64}, {"algorithm": "aes-cmac"}):
        refused(profile(mac=mac))


def test_vault_tags_that_are_not_hex():
    for tags in (["zz"], [5], "x"):
        refused(profile(vault={"icc_tags": tags}))


def test_settings():
    for key in ("tid", "mid", "merchant", "currency"):
        for value in (None, "", 5, "x" * 121):
            settings = dict(SETTINGS)
            settings[key] = value
            assert key in refused(profile(), settings)
        settings = dict(SETTINGS)
        del settings[key]
        assert key in refused(profile(), settings)
    for value in (-841, 841, None, "480"):
        settings = dict(SETTINGS)
        settings["utc_offset_min"] = value
        refused(profile(), settings)


def test_an_error_holds_no_settings():
    settings = dict(SETTINGS)
    settings["merchant"] = "S" * 200
    assert "SSS" not in refused(profile(), settings)
