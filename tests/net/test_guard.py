"""Which addresses a request may go to (ruling 55)."""

import pytest

from treadle.net.guard import read_allowed, why_refused

REFUSED = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "198.18.0.1", "203.0.113.5", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_on_the_public_internet_is_refused(address: str) -> None:
    assert why_refused("any.example", address, 80, ()) != ""


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_what_is_public_may_be_reached(address: str) -> None:
    assert why_refused("any.example", address, 443, ()) == ""


@pytest.mark.parametrize(
    "entry,host,address,port,may",
    [
        ("127.0.0.1:8080", "127.0.0.1", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", "127.0.0.1", 8081, False),
        ("127.0.0.1:8080", "elsewhere.example", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "elsewhere.example", "::ffff:127.0.0.1", 8080, True),
        ("127.0.0.1", "localhost", "127.0.0.1", 1, True),
        ("10.0.0.0/8", "intern.example", "10.200.0.1", 443, True),
        ("10.0.0.0/8", "intern.example", "11.0.0.1", 443, True),
        ("10.0.0.0/8", "intern.example", "192.168.0.1", 443, False),
        ("10.0.0.0/8:443", "intern.example", "10.0.0.1", 80, False),
        ("intern.example:443", "intern.example", "10.0.0.1", 443, True),
        ("intern.example:443", "other.example", "10.0.0.1", 443, False),
        ("Intern.Example", "intern.example", "10.0.0.1", 80, True),
        ("[::1]:8080", "::1", "::1", 8080, True),
        ("[::1]:8080", "::1", "::1", 80, False),
        ("fc00::/7", "x.example", "fd00::1", 80, True),
    ],
)
def test_an_entry_of_the_configuration_allows_exactly_what_it_names(entry: str, host: str, address: str, port: int, *, may: bool) -> None:
    assert (why_refused(host, address, port, [read_allowed(entry)]) == "") is may


@pytest.mark.parametrize(
    "text",
    ["", ":80", "http://x.example", "x.example:0", "x.example:70000", "x.example:http", "10.0.0.1/8", "[::1", "[::1]8", "a b", "x/y"],
)
def test_an_entry_that_names_nothing_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="`"):
        read_allowed(text)
