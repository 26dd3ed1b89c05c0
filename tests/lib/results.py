#!/usr/bin/python3
"""Turn what the test runners report into lines of SUITE, NAME, OUTCOME, DETAIL (tab-separated).

    results.py junit SUITE FILE      ctest --output-junit, or pytest --junitxml
    results.py go SUITE FILE         go test -json
    results.py lines SUITE FILE      lines "fuzz NAME: ok ..." and "fuzz NAME: FAILED ..."
    results.py summary FILE SKIPS    the table and the closing line; exit status 1 on any failure
"""

import fnmatch
import json
import re
import sys
import xml.etree.ElementTree as ElementTree

PASS, FAIL, SKIP = "pass", "fail", "skip"
CMOCKA = re.compile(r"^\[ *(OK|FAILED|SKIPPED) *\] (\w+)$", re.MULTILINE)
CMOCKA_OUTCOME = {"OK": PASS, "FAILED": FAIL, "SKIPPED": SKIP}


def emit(suite, name, outcome, detail=""):
    detail = " ".join(detail.split())[:200]
    print(f"{suite}\t{name}\t{outcome}\t{detail}")


def cmocka_cases(case):
    """The single tests of one cmocka program, by name; empty when it is something else."""
    output = case.findtext("system-out") or ""
    cases = {}
    for word, name in CMOCKA.findall(output):
        if cases.get(name) != FAIL:
            cases[name] = CMOCKA_OUTCOME[word]
    return cases


def from_junit(suite, path):
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name")
        if case.get("classname") and case.get("classname") != name:
            name = case.get("classname") + "::" + name
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        cases = cmocka_cases(case)
        for test, outcome in cases.items():
            emit(suite, name + "::" + test, outcome)
        if bad is not None and FAIL not in cases.values():
            # A sanitizer's report, a crash, a time-out: the program failed, not one of its tests.
            emit(suite, name, FAIL, bad.get("message") or bad.text or "")
        elif not cases and skipped is not None:
            emit(suite, name, SKIP, skipped.get("message") or "")
        elif not cases:
            emit(suite, name, PASS)


def from_go(suite, path):
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            package = event.get("Package", "").rsplit("/", 1)[-1]
            action = event.get("Action")
            if action in (PASS, FAIL, SKIP) and event.get("Test"):
                emit(suite, f"{package}.{event['Test']}", action)
            elif action in (FAIL, "build-fail"):
                emit(suite, package or event.get("ImportPath", "build"), FAIL, "the package")


def from_lines(suite, path):
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = re.match(r"^\w+ (\S+): (ok|FAILED)(.*)$", line)
            if found:
                emit(suite, found[1], PASS if found[2] == "ok" else FAIL, found[3])


def read_allowed_skips(path):
    with open(path, encoding="utf-8") as lines:
        return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def summary(path, skips_path):
    allowed = read_allowed_skips(skips_path)
    suites, failures = {}, []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            suite, name, outcome, detail = (line.rstrip("\n").split("\t") + [""])[:4]
            if outcome == SKIP and not any(fnmatch.fnmatch(name, glob) for glob in allowed):
                outcome, detail = FAIL, "skipped, and not in tests/skips.txt: " + detail
            counts = suites.setdefault(suite, {PASS: 0, FAIL: 0, SKIP: 0})
            counts[outcome] += 1
            if outcome == FAIL:
                failures.append((suite, name, detail))
    for suite, name, detail in failures:
        print(f"FAILED {suite}: {name}{': ' + detail if detail else ''}")
    print(f"{'suite':<12} {'passed':>7} {'failed':>7} {'skipped':>8}")
    for suite, counts in suites.items():
        print(f"{suite:<12} {counts[PASS]:>7} {counts[FAIL]:>7} {counts[SKIP]:>8}")
    total = {word: sum(counts[word] for counts in suites.values()) for word in (PASS, FAIL, SKIP)}
    print(f"{total[PASS]} passed, {total[FAIL]} failed, {total[SKIP]} skipped")
    return 1 if total[FAIL] or not total[PASS] else 0


def main(arguments):
    readers = {"junit": from_junit, "go": from_go, "lines": from_lines}
    if len(arguments) == 3 and arguments[0] in readers:
        readers[arguments[0]](*arguments[1:])
        return 0
    if len(arguments) == 3 and arguments[0] == "summary":
        return summary(*arguments[1:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
