"""Each scripted fault, as it looks from the terminal's side of the wire."""

import signal
import socket
import time

import iso8583
import pytest
from poslab.acquirer import ScenarioError, dump_state
from poslab.acquirer.faults import ACTIONS, load_scenario
from test_acquirer_wire import ROOT, UNIONPAY, Client, start  # noqa: F401


def fault(action, match="amount = 500", **settings):
    lines = [f"match = {{ {match} }}"] if match else []
    lines += [f"{key} = {value}" for key, value in settings.items()]
    return f'[[fault]]\naction = "{action}"\n' + "\n".join(lines) + "\n"


@pytest.fixture
def meet(start):  # noqa: F811
    """A signed-on client of an acquirer with this scenario."""

    def begin(scenario, **more):
        acquirer = start(scenario, **more)
        client = acquirer.client()
        client.sign_on()
        return acquirer, client

    return begin


def silent(client, seconds=0.4):
    client.socket.settimeout(seconds)
    try:
        data = client.socket.recv(1)
    except TimeoutError:
        client.socket.settimeout(5)
        return True
    assert data == b"", "an answer came"
    return False


def stans(acquirer):
    return {row["stan"]: row["state"] for row in dump_state(acquirer.ledger)["transactions"]}


def test_drop_request(meet):
    acquirer, client = meet(fault("drop_request"))
    client.send("0200", client.sale(2, 500))
    assert silent(client)
    assert stans(acquirer) == {}
    assert [m["fault"] for m in dump_state(acquirer.ledger)["messages"] if m["stan"] == 2] == ["drop_request"]
    assert client.ask("0400", client.reversal(2, 500))["39"] == "25"
    assert client.ask("0200", client.sale(3, 500))["39"] == "00"  # used up, and the connection still serves


def test_drop_reply(meet):
    acquirer, client = meet(fault("drop_reply"))
    client.send("0200", client.sale(2, 500))
    assert silent(client)
    assert stans(acquirer) == {2: "approved"}
    assert client.ask("0400", client.reversal(2, 500))["39"] == "00"
    assert stans(acquirer) == {2: "reversed"}


def test_late_reply_on_the_same_connection(meet):
    acquirer, client = meet(fault("late_reply", delay_ms=700))
    began = time.monotonic()
    client.send("0200", client.sale(2, 500))
    assert silent(client, 0.2)
    # Meanwhile the connection serves; the late answer still comes after, under its own STAN.
    assert client.ask("0400", client.reversal(2, 500))["t"] == "0410"
    late = client.receive()
    assert (late["t"], late["11"], late["39"]) == ("0210", "000002", "00")
    assert time.monotonic() - began >= 0.7
    assert stans(acquirer) == {2: "reversed"}


def test_late_reply_to_a_terminal_that_has_gone(meet):
    acquirer, client = meet(fault("late_reply", delay_ms=200))
    client.send("0200", client.sale(2, 500))
    assert silent(client, 0.1)
    client.close()
    deadline = time.monotonic() + 5
    while not any(line["event"] == "undeliverable" for line in acquirer.log()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_duplicate_reply(meet):
    acquirer, client = meet(fault("duplicate_reply", gap_ms=50))
    assert client.ask("0200", client.sale(2, 500)) == client.receive()
    assert stans(acquirer) == {2: "approved"}


def test_garbled_reply(meet):
    _, client = meet(fault("garbled_reply"))
    client.send("0200", client.sale(2, 500))
    with pytest.raises((iso8583.DecodeError, KeyError)):
        client.receive()
    good = client.ask("0200", client.sale(2, 500))  # the answer again, whole: the length was right
    assert good["39"] == "00"


def test_bad_mac(meet):
    acquirer, client = meet(fault("bad_mac"))
    client.send("0200", client.sale(2, 500))
    with pytest.raises(AssertionError, match="reply MAC"):
        client.receive()
    assert iso8583.decode(client.raw[11:], UNIONPAY)[0]["39"] == "00"
    assert stans(acquirer) == {2: "approved"}


@pytest.mark.parametrize(
    ("action", "field", "value"), [("wrong_stan", "11", "000003"), ("wrong_amount", "4", "000000000501")]
)
def test_answers_about_something_else(meet, action, field, value):
    acquirer, client = meet(fault(action))
    reply = client.ask("0200", client.sale(2, 500))  # its MAC is right: only the content tells
    assert (reply[field], reply["39"]) == (value, "00")
    assert stans(acquirer) == {2: "approved"}


def test_slow_bytes(meet):
    _, client = meet(fault("slow_bytes", per_byte_ms=2, chunk=4))
    client.send("0200", client.sale(2, 500))
    sizes, began = [], time.monotonic()
    client.socket.settimeout(0.5)
    while True:
        try:
            sizes.append(len(client.socket.recv(4096)))
        except TimeoutError:
            break
    assert len(sizes) > 10 and time.monotonic() - began - 0.5 > 0.002 * sum(sizes) * 0.8


def test_close_mid_message(meet):
    acquirer, client = meet(fault("close_mid_message"))
    client.send("0200", client.sale(2, 500))
    length = int.from_bytes(client.socket.recv(2, socket.MSG_WAITALL), "big")
    rest = client.socket.recv(4096, socket.MSG_WAITALL)
    assert 0 < len(rest) < length
    assert stans(acquirer) == {2: "approved"}


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except ConnectionError:
        return False
    return True


def test_refuse_connection_for_a_time(meet):
    acquirer, client = meet(fault("refuse_connection", for_ms=800))
    assert client.ask("0200", client.sale(2, 500))["39"] == "00"
    assert client.receive() is None
    assert not connects(acquirer.port) and not connects(acquirer.port)
    time.sleep(1.0)
    again = Client(acquirer, key=client.key)
    assert again.ask("0200", again.sale(3, 501))["39"] == "00"


def test_refuse_a_number_of_connections_from_the_start(start):  # noqa: F811
    acquirer = start(fault("refuse_connection", match="", connects=2))
    for _ in range(2):
        client = acquirer.client()
        assert client.receive() is None
    assert acquirer.client().sign_on()["39"] == "00"


def test_decline(meet):
    acquirer, client = meet(
        fault("decline", code='"51"') + fault("decline", match='type = "reversal"', code='"96"')
    )
    reply = client.ask("0200", client.sale(2, 500))
    assert (reply["39"], "38" in reply) == ("51", False)
    assert client.ask("0200", client.sale(3, 501))["39"] == "00"
    assert client.ask("0400", client.reversal(3, 501))["39"] == "96"
    assert stans(acquirer) == {2: "declined", 3: "approved"}  # a refused reversal reverses nothing
    assert client.ask("0400", client.reversal(3, 501))["39"] == "00"
    assert stans(acquirer)[3] == "reversed"


def test_oversize_length(meet):
    acquirer, client = meet(fault("oversize_length", junk=100))
    client.send("0200", client.sale(2, 500))
    data = client.socket.recv(4096, socket.MSG_WAITALL)
    assert data[:2] == b"\xff\xff" and len(data) == 102
    assert stans(acquirer) == {2: "approved"}


@pytest.mark.parametrize("processed", [True, False])
def test_restart(meet, processed):
    acquirer, client = meet(fault("restart", down_ms=600, processed=str(processed).lower()))
    bystander = acquirer.client(tid="POS00002")
    bystander.sign_on()
    client.send("0200", client.sale(2, 500))
    assert client.receive() is None and bystander.receive() is None
    assert not connects(acquirer.port)
    time.sleep(0.8)
    again = Client(acquirer, key=client.key)  # the key survives
    assert again.ask("0400", again.reversal(2, 500))["39"] == ("00" if processed else "25")


def test_nth_times_and_first_match_wins(meet):
    scenario = (
        fault("decline", match='type = "sale", nth = 2', code='"51"', times=2)
        + fault("decline", match="stan = 4, amount = 100", code='"05"')
        + fault("decline", match='mti = "0200", tid = "POS00001", nth = 6', code='"91"', times=0)
    )
    _, client = meet(scenario)
    codes = [client.ask("0200", client.sale(stan, 100))["39"] for stan in range(2, 10)]
    # STAN 4 is the third sale: the first rule's second use; the second rule is then still unused, for nobody.
    assert codes == ["00", "51", "51", "00", "00", "91", "91", "91"]


def test_latency(meet):
    _, client = meet("[defaults]\nlatency_ms = 300\n")
    began = time.monotonic()
    client.ask("0200", client.sale(2, 1))
    assert time.monotonic() - began >= 0.3


def test_hangup_reads_the_scenario_again_and_keeps_the_old_one_if_it_is_broken(meet):
    acquirer, client = meet("")

    def reload(text, event):
        acquirer.scenario.write_text(text)
        seen = sum(line["event"] == event for line in acquirer.log())
        acquirer.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 5
        while sum(line["event"] == event for line in acquirer.log()) == seen:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    assert client.ask("0200", client.sale(2, 500))["39"] == "00"
    reload(fault("decline", code='"51"', times=0), "scenario_read")
    assert client.ask("0200", client.sale(3, 500))["39"] == "51"
    reload('[[fault]]\naction = "explode"', "scenario_kept")
    assert client.ask("0200", client.sale(4, 500))["39"] == "51"


BROKEN = {
    "not TOML": ("[[fault", "not TOML"),
    "top key": ("[faults]\n", "unknown key faults"),
    "default key": ("[defaults]\nlag = 1", r"\[defaults\].*lag"),
    "default type": ("[defaults]\nlatency_ms = true", "latency_ms"),
    "clock": ("[defaults]\nclock = 2025-01-01T00:00:00Z", "clock"),
    "action": ('[[fault]]\naction = "explode"', "number 1: action must be one of drop_request"),
    "no action": ("[[fault]]\nmatch = { nth = 1 }", "number 1: action"),
    "second table": (fault("drop_reply") + fault("drop_reply", colour=1), "number 2: unknown key colour"),
    "another action's key": (fault("drop_reply", delay_ms=1), "delay_ms"),
    "missing setting": (fault("late_reply"), "delay_ms"),
    "negative": (fault("late_reply", delay_ms=-1), "delay_ms"),
    "no match": (fault("drop_reply", match=""), "needs a match"),
    "match key": (fault("drop_reply", match="pan = 1"), "number 1, match: unknown key pan"),
    "match type": (fault("drop_reply", match='amount = "5"'), "amount"),
    "match kind": (fault("drop_reply", match='type = "sales"'), "type must be one of"),
    "no code": (fault("decline"), "DE39"),
    "code 00": (fault("decline", code='"00"'), "DE39"),
    "both": (fault("refuse_connection", for_ms=1, connects=1), "either"),
    "times": (fault("drop_reply", times=-1), "times"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_scenarios_are_refused_by_file_and_table(tmp_path, name):
    text, said = BROKEN[name]
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=said) as caught:
        load_scenario(path)
    assert str(path) in str(caught.value)


def test_bad_mac_needs_a_profile_with_a_mac(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(fault("bad_mac"))
    assert load_scenario(path).faults
    with pytest.raises(ScenarioError, match="bad_mac"):
        load_scenario(path, with_mac=False)


def test_shipped_scenarios_load_and_every_action_is_tested_here():
    shipped = sorted((ROOT / "tools" / "poslab" / "scenarios").glob("*.toml"))
    assert len(shipped) >= 7
    for path in shipped:
        load_scenario(path)
    source = (ROOT / "tests" / "host" / "test_acquirer_faults.py").read_text(encoding="utf-8")
    assert all(f'"{action}"' in source for action in ACTIONS)
