"""vmferry inventory: what it lists, how it selects, how many questions it asks."""

import json

import pytest
import yaml


def listed(result):
    """Names in the table: the first column, below the heading."""
    rows = result.good().out.splitlines()[1:]
    return [row.split("  ")[0].strip() for row in rows if row.strip()]


def as_data(result):
    return json.loads(result.good().out)["vms"]


def names(result):
    return sorted(vm["name"] for vm in as_data(result))


@pytest.fixture
def inventory(vmferry, sim):
    return lambda *more: vmferry("inventory", *sim.arguments(), *more)


def test_table__lists_every_vm_with_a_heading(inventory):
    result = inventory()
    assert "NAME" in result.good().out.splitlines()[0]
    for name in ("run01", "Off VM #1 (EFI)", "empty01", "indep01", "twin", "snapped"):
        assert name in result.out
    row = next(line for line in result.out.splitlines() if line.startswith("run01"))
    for fact in ("on", "4", "3.0 GiB", "2"):
        assert fact in row
    assert result.err == ""


def test_wide__says_more_than_table(inventory):
    narrow, wide = inventory(), inventory("-o", "wide")
    assert len(wide.good().out.splitlines()[0]) > len(narrow.out.splitlines()[0])
    assert "/prod/web" in wide.out


def test_json__has_the_facts(inventory):
    machine = next(vm for vm in as_data(inventory("-o", "json")) if vm["name"] == "run01")
    assert machine["power"] == "on" and machine["folder"] == "/DC0/vm/prod/web"
    assert (machine["cpus"], machine["cores_per_socket"]) == (4, 2)
    assert machine["memory_bytes"] == 3 << 30
    assert machine["cbt_enabled"] is True and machine["firmware"] == "bios"
    assert machine["annotation"] == 'two lines\nof notes: "quoted"'
    assert sorted(machine["tags"]) == ["env/prod", "tier/web"]
    assert [d["capacity_bytes"] for d in machine["disks"]] == [96 << 20, (48 << 20) + 1536]
    assert machine["provisioned_bytes"] >= (144 << 20) >= machine["used_bytes"] > 0
    assert [nic["mac"] for nic in machine["nics"]] == ["00:50:56:0a:0b:0c"]


def test_yaml__says_the_same_as_json(inventory):
    assert yaml.safe_load(inventory("-o", "yaml").good().out) == json.loads(
        inventory("-o", "json").good().out
    )


@pytest.mark.parametrize(
    "selection, expected",
    [
        (["--name", "run01"], ["run01"]),
        (["--name", "run01", "--name", "empty01"], ["empty01", "run01"]),
        (["--name", "twin"], ["twin", "twin"]),
        (["--glob", "*01"], ["empty01", "indep01", "run01"]),
        (["--glob", "Off VM #1 (*"], ["Off VM #1 (EFI)"]),
        (["--folder", "/DC0/vm/prod"], ["Off VM #1 (EFI)", "run01"]),
        (["--folder", "/DC0/vm/test/a"], ["twin"]),
        (["--power", "off"], ["Off VM #1 (EFI)", "twin", "twin"]),
        (["--power", "on", "--glob", "*01"], ["empty01", "indep01", "run01"]),
        (["--tag", "env/prod"], ["Off VM #1 (EFI)", "run01"]),
        (["--tag", "tier/web"], ["run01"]),
        (["--tag", "env/prod", "--power", "on"], ["run01"]),
    ],
)
def test_selection__gives_just_these(inventory, selection, expected):
    assert names(inventory("-o", "json", *selection)) == expected


def test_name_that_matches_nothing__fails_and_names_it(inventory):
    inventory("--name", "nosuch").failed("nosuch")


def test_snapshots_and_independent_disks__are_shown(inventory):
    found = {vm["name"]: vm for vm in as_data(inventory("-o", "json"))}
    assert [s["name"] for s in found["snapped"]["snapshots"]] == ["by hand"]
    assert found["run01"]["snapshots"] == []
    assert [d["independent"] for d in found["indep01"]["disks"]] == [False, True]


@pytest.fixture(scope="module")
def crowd(start_simulator):
    return start_simulator("crowd", "--fillers", 2000)


def test_2000_vms__one_paged_query_and_no_call_per_vm(vmferry, crowd):
    crowd.control("DELETE", "/calls")
    result = vmferry("inventory", *crowd.arguments(), "-o", "json")
    assert len(as_data(result)) == 2000
    calls = crowd.control("GET", "/calls")["soap"]
    pages = calls.get("ContinueRetrievePropertiesEx", 0)
    assert pages >= 1, calls
    assert sum(calls.values()) - pages < 25, calls


def test_2000_vms__page_size_of_the_server_is_followed(vmferry, crowd):
    crowd.control("POST", "/options", {"page_size": 7})
    result = vmferry("inventory", *crowd.arguments(), "-o", "json")
    crowd.control("POST", "/options", {"page_size": 0})
    assert len(as_data(result)) == 2000
    assert len({vm["name"] for vm in as_data(result)}) == 2000
    assert crowd.control("GET", "/state")["sessions"] == 0


def test_2000_vms__selection_by_tag(vmferry, crowd):
    result = vmferry("inventory", *crowd.arguments(), "-o", "json", "--tag", "env/stage")
    found = names(result)
    assert found and all(name.startswith("stage-") for name in found)


def test_session_lost_between_pages__starts_over_silently(vmferry, crowd):
    crowd.fault("ContinueRetrievePropertiesEx", "not_authenticated", count=1, after=2)
    result = vmferry("inventory", *crowd.arguments(), "-o", "json")
    assert len({vm["name"] for vm in as_data(result)}) == 2000
    assert result.err == ""

