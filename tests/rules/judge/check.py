"""Compares the checks of mainstay with those of protovalidate, on the same messages.

usage: check.py SEED <OUTPUT, the output of the example `judged` with this seed

The first line of the output are the descriptors, in hexadecimal. Each further line is a message, with tabs between its type,
its bytes, and the path and text of each violation; the last line is `end`. The list of accepted differences can only shrink:
a difference that it does not have fails the check, and so does an entry that no message of the default seed needs.
"""

import pathlib
import re
import sys
from collections import Counter

import protovalidate
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SHOWN = 20
DEFAULT_SEED = "1"


def accepted():
    """Returns the reasons of the accepted differences, by kind and what differs."""
    lines = pathlib.Path(__file__).with_name("differences.txt").read_text().splitlines()
    rows = (line.split(" | ") for line in lines if line and not line.startswith("#"))
    return {(kind, what): reason for kind, what, reason in rows}


def json_name(name):
    return re.sub("_+(.?)", lambda match: match[1].upper(), name)


def path_of(violation):
    """Returns the path of a violation as mainstay writes it."""
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else []:
        name = json_name(element.field_name)
        path += f".{name}" if path else name
        subscript = element.subscript
        if subscript is None:
            continue
        match subscript.field:
            case "index":
                path += f"[{subscript.value}]"
            case "bool_key":
                path += f"[{str(subscript.value).lower()}]"
            case "string_key":
                text = subscript.value.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\\0")
                path += f'["{text}"]' if len(text) <= 60 else f'["{text[:60]}…"]'
            case _:
                path += f"[{subscript.value}]"
    return path


def judge(message):
    """Returns what protovalidate says: texts by the paths of fields (`None` of typed rules), and the paths of messages."""
    fields, messages = {}, set()
    for violation in protovalidate.collect_violations(message):
        path = path_of(violation)
        rule = [element.field_name for element in violation.proto.rule.elements] if violation.proto.rule else []
        # The rule of a oneof has the path of the oneof; a rule of a message has that of the message.
        if rule or violation.proto.rule_id == "required":
            is_custom = rule and (rule[-1] == "cel" or rule[-1].startswith("["))
            fields.setdefault(path, []).append(violation.proto.message if is_custom else None)
        else:
            messages.add(path)
    return fields, messages


def differences(ours, fields, messages):
    """Returns the kinds of the differences, and what differs."""
    extra = {path: text for path, text in ours.items() if path not in fields}
    for path in messages:
        below = [other for other in ours if other.rpartition(".")[0] == path]
        if not below:
            yield "missing", path or "(message)"
        for other in below:
            extra.pop(other, None)
    for path in fields.keys() - ours.keys():
        yield "missing", re.sub(r"\[.*?\]", "[]", path)
    for text in extra.values():
        yield "extra", text
    for path, texts in fields.items():
        if path in ours and None not in texts and ours[path] not in texts:
            yield "text", ours[path]


def main():
    reasons, found, unlisted = accepted(), Counter(), []
    lines = iter(sys.stdin)
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(bytes.fromhex(next(lines))).file:
        pool.Add(file)
    count = valid = failed = 0
    is_whole = False
    for line in lines:
        if is_whole := line == "end\n":
            break
        name, encoded, *texts = line.rstrip("\n").split("\t")
        ours = dict(zip(texts[::2], texts[1::2], strict=True))
        kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        count += 1
        valid += not ours
        try:
            fields, messages = judge(kind.FromString(bytes.fromhex(encoded)))
        except protovalidate.EvaluationError:
            failed += 1
            fields, messages = {}, set()
            if not ours:
                unlisted.append((name, encoded, ("missing", "(failed)"), ours, fields))
            continue
        for kind_of_difference, what in differences(ours, fields, messages):
            difference = (kind_of_difference, f"{name}.{what}" if kind_of_difference == "missing" else what)
            found[difference] += 1
            if difference not in reasons:
                unlisted.append((name, encoded, difference, ours, fields))
    print(f"{count} messages, of which {valid} are valid; {failed} failed to evaluate; accepted: {sum(found.values())} differences")
    for entry in unlisted[:SHOWN]:
        print("unlisted:", *entry)
    unused = [entry for entry in reasons if entry not in found and sys.argv[1] == DEFAULT_SEED]
    for entry in unused:
        print("listed, and does not occur:", *entry)
    if unlisted or unused:
        sys.exit(f"{len(unlisted)} unlisted and {len(unused)} unused differences")
    if not is_whole or not 0.1 < valid / count < 0.9:
        sys.exit("the messages are incomplete, or almost all are valid or invalid")


if __name__ == "__main__":
    main()
