#!/usr/bin/env python3
"""Compares the check digits of crate `licence` with python-stdnum.

    .ci/check_digits.py [SHARED]

100,000 numbers, made from a fixed seed and half of them damaged, go through the example `check_numbers`
of the crate and through python-stdnum. With the shared folder as argument the recorded enterprise codes
are judged too: those of enterprises-200k must all be accepted, the irregular ones all refused.

Ends with 1 at any difference that EXPLAINED does not cover, and when an explanation covers nothing any more.
"""

import collections
import datetime
import json
import os
import random
import re
import subprocess
import sys

from stdnum.cn import ric, uscc
from stdnum.exceptions import InvalidComponent, ValidationError
from stdnum.iso7064 import mod_11_2, mod_11_10, mod_37_36

EACH = 20_000
CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"
UPPER = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ROOT = "1.2.156.3005.2."

# Where we mean to differ, and why; `explained` decides which numbers a reason covers.
EXPLAINED = {
    "spelling": "stdnum strips blanks and dashes and raises letters to capitals; here a number has one spelling",
    "legacy": "15 digits are upgraded here; stdnum knows 18 only",
    "birth place": "stdnum refuses regions outside its list and permits of Hong Kong, Macao and Taiwan residents; "
    "here the region is a separate question (CitizenNumber::region_in_force)",
    "letter authority": "stdnum wants digits at positions 1 and 2; authorities A and N (agriculture) exist",
}


def is_valid(check, text):
    try:
        check(text)
        return True
    except ValidationError:
        return False


# --- numbers ---------------------------------------------------------------------------------------------


def birth_date(rng):
    return datetime.date(1900, 1, 1) + datetime.timedelta(days=rng.randrange(45_000))


REGIONS = [row.split("\t")[0] for row in open(os.path.join(os.path.dirname(__file__), "../hub/licence/data/regions.tsv"), encoding="utf-8")]


def region(rng):
    return rng.choice(REGIONS) if rng.random() < 0.9 else f"{rng.randrange(10**6):06}"


def citizen(rng):
    place = rng.choice(["810000", "820000", "830000"]) if rng.random() < 0.05 else region(rng)
    body = f"{place}{birth_date(rng):%Y%m%d}{rng.randrange(1000):03}"
    if rng.random() < 0.05 and body[6:8] == "19":
        return body[:6] + body[8:]
    return body + mod_11_2.calc_check_digit(body)


def foreign_resident(rng):
    body = f"9{rng.randrange(11, 66)}{rng.randrange(4, 895):03}{birth_date(rng):%Y%m%d}{rng.randrange(1000):03}"
    return body + mod_11_2.calc_check_digit(body)


def credit_code(rng):
    authority = rng.choice("AN") if rng.random() < 0.05 else rng.choice("1259")
    body = authority + rng.choice("1239") + region(rng) + "".join(rng.choice(CREDIT) for _ in range(9))
    return body + uscc.calc_check_digit(body)


def licence_id(rng):
    authority = rng.choice("15") + "1100000" + "".join(rng.choice(CREDIT) for _ in range(9))
    kind = authority + uscc.calc_check_digit(authority) + f"{rng.randrange(1000):03}"
    issuer = "1" + "1" + region(rng) + "".join(rng.choice(CREDIT) for _ in range(9))
    issuer = region(rng) if rng.random() < 0.2 else issuer + uscc.calc_check_digit(issuer)
    serial = "".join(rng.choice(UPPER) for _ in range(rng.randrange(1, 33)))
    parts = [kind, issuer, serial, f"{rng.randrange(1, 1000):03}"]
    return ROOT + ".".join(parts + [mod_37_36.calc_check_digit("".join(parts))])


def project(rng):
    body = f"{rng.randrange(16, 40)}{rng.randrange(1, 13):02}-{region(rng)}-{rng.randrange(100):02}-{rng.randrange(100):02}-{rng.randrange(10**5):05}"
    if rng.random() < 0.1:
        return f"{rng.randrange(2015, 2021)}{body[4:]}{rng.randrange(10)}"
    return body + mod_11_10.calc_check_digit(body.replace("-", ""))


def damaged(rng, text):
    at = rng.randrange(len(text))
    way = rng.randrange(8)
    if way < 4:  # one character replaced by one of the same sort: only the check character tells
        sort = "0123456789" if text[at].isdigit() else UPPER
        return text[:at] + rng.choice(sort) + text[at + 1 :]
    if way == 4 and at + 1 < len(text):
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if way == 5:
        return text[:at] + text[at + 1 :]
    if way == 6:
        return text[:at] + rng.choice(UPPER + " -.") + text[at:]
    return text[:at] + rng.choice([text[at].lower(), "*", "１", "Ⅹ", "О"]) + text[at + 1 :]


# --- the other opinion -----------------------------------------------------------------------------------


def birth_place_known(text):
    """stdnum falls over regions above county level (KeyError): it does not know them as birth places."""
    try:
        return bool(ric.get_birth_place(text))
    except (InvalidComponent, KeyError):
        return False


def theirs_citizen(text):
    try:
        return ric.is_valid(text)
    except KeyError:
        return False


def theirs_licence_id(text):
    match = re.fullmatch(r"1\.2\.156\.3005\.2\.([0-9A-Z]{18})([0-9]{3})\.([0-9A-Z]{18}|[0-9]{6})\.([0-9A-Z]{1,32})\.([0-9]{3})\.([0-9A-Z])", text)
    if not match or match[5] == "000":
        return False
    issuer_fits = len(match[3]) == 6 or uscc.is_valid(match[3])
    return uscc.is_valid(match[1]) and issuer_fits and mod_37_36.is_valid("".join(match.groups()))


def theirs_project(text):
    match = re.fullmatch(r"([0-9]{2})([0-9]{2})-[0-9]{6}-[0-9]{2}-[0-9]{2}-[0-9]{6}", text)
    if not match:
        return False
    if "2015" <= text[:4] <= "2020":
        return True
    return "01" <= match[2] <= "12" and mod_11_10.is_valid(text.replace("-", ""))


def theirs_foreign_resident(text):
    if not re.fullmatch("9[0-9]{16}[0-9X]", text) or not mod_11_2.is_valid(text):
        return False
    return is_valid(ric.get_birth_date, text)


KINDS = {
    "citizen": (citizen, theirs_citizen),
    "credit_code": (credit_code, uscc.is_valid),
    "licence_id": (licence_id, theirs_licence_id),
    "project": (project, theirs_project),
    "foreign_resident": (foreign_resident, theirs_foreign_resident),
}


def explained(kind, text, ours):
    """The key of EXPLAINED that covers a difference, or None."""
    if not ours:
        compact = {"citizen": ric.compact, "credit_code": uscc.compact}.get(kind)
        return "spelling" if compact and compact(text) != text else None
    if kind == "citizen":
        if re.fullmatch("[0-9]{15}", text):
            full = text[:6] + "19" + text[6:]
            return "legacy" if is_valid(ric.get_birth_date, full) else None
        if mod_11_2.is_valid(text) and is_valid(ric.get_birth_date, text) and not birth_place_known(text):
            return "birth place"
    if kind == "credit_code" and re.match("[A-Z]|.[A-Z]", text) and uscc.calc_check_digit(text[:17]) == text[17]:
        return "letter authority"
    return None


# --- comparing -------------------------------------------------------------------------------------------


def ours(lines):
    """The verdicts of crate `licence`, one for each (kind, text)."""
    command = ["cargo", "run", "--quiet", "--locked", "-p", "licence", "--example", "check_numbers"]
    text = "".join(f"{kind}\t{number}\n" for kind, number in lines)
    done = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True)
    verdicts = done.stdout.decode().splitlines()
    assert len(verdicts) == len(lines), f"{len(lines)} numbers, {len(verdicts)} verdicts"
    return verdicts


def compare_generated():
    rng = random.Random(20180516)
    numbers = []
    for kind, (make, _) in KINDS.items():
        for index in range(EACH):
            number = make(rng)
            numbers.append((kind, damaged(rng, number) if index % 2 else number))
    failures, covered = 0, collections.Counter()
    table = {kind: collections.Counter() for kind in KINDS}
    for (kind, text), verdict in zip(numbers, ours(numbers)):
        our, their = verdict == "ok", KINDS[kind][1](text)
        table[kind]["accepted" if our else "refused"] += 1
        if our == their:
            continue
        reason = explained(kind, text, our)
        covered[reason] += 1
        if reason is None:
            failures += 1
            if failures <= 20:
                print(f"DIFFERENT {kind} {text!r}: {verdict}, stdnum {'accepts' if their else 'refuses'}")
    for kind, counts in table.items():
        print(f"{kind:16} {sum(counts.values()):6} numbers: {counts['accepted']:6} accepted, {counts['refused']:6} refused")
    for reason, why in EXPLAINED.items():
        print(f"explained: {covered[reason]:5} {reason}: {why}")
        if not covered[reason]:
            print(f"UNUSED explanation: {reason}")
            failures += 1
    return failures


def body_code(code):
    """GB 11714 by its text, written apart from the crate."""
    if len(code) != 18:
        return False
    total = sum(UPPER.index(c) * weight for c, weight in zip(code[8:16], (3, 7, 9, 10, 5, 8, 4, 2)))
    return code[16] == "0123456789X"[(11 - total % 11) % 11]


def column(lines, name):
    rows = (line.rstrip("\n").split("\t") for line in lines)
    index = next(rows).index(name)
    return [row[index] for row in rows]


def compare_recorded(shared):
    folder = os.path.join(shared, "data")
    unpacked = subprocess.run(["zstd", "-dc", f"{folder}/enterprises/enterprises-200k.tsv.zst"], stdout=subprocess.PIPE, check=True)
    valid = column(unpacked.stdout.decode().splitlines(), "uscc")
    with open(f"{folder}/enterprises/irregular-codes-1k.tsv", encoding="utf-8") as file:
        irregular = column(file, "code_as_recorded")
    with open(f"{folder}/licence-ids/identifiers.json", encoding="utf-8") as file:
        identifiers = json.load(file)["examples"]
    lines = [("credit_code", code) for code in valid + irregular]
    lines += [("licence_id", example["identifier"]) for example in identifiers]
    lines += [("body_code", code) for code in valid]
    verdicts = iter(ours(lines))

    accepted = sum(next(verdicts) == "ok" for _ in valid)
    reasons = collections.Counter(next(verdicts) for _ in irregular)
    identifiers_agree = sum((next(verdicts) == "ok") == example["check_character_valid"] for example in identifiers)
    inner = [next(verdicts) for _ in valid]
    inner_agree = sum((verdict == "ok") == body_code(code) for code, verdict in zip(valid, inner))
    refused = len(irregular) - reasons["ok"]
    print(f"enterprises-200k: {accepted} of {len(valid)} accepted; inner GB 11714 check right in {inner.count('ok')}, verdicts agree in {inner_agree}")
    print(f"irregular-codes-1k: {refused} of {len(irregular)} refused: {dict(reasons)}")
    print(f"licence-ids: {identifiers_agree} of {len(identifiers)} judged as recorded")
    complete = len(valid) == 200_000 and len(irregular) >= 1_000 and len(identifiers) == 4
    agree = (accepted, refused, identifiers_agree, inner_agree) == (len(valid), len(irregular), len(identifiers), len(valid))
    return 0 if complete and agree else 1


def main():
    failures = compare_generated()
    if len(sys.argv) > 1:
        failures += compare_recorded(sys.argv[1])
    print("check digits:", "FAILED" if failures else "agree")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
