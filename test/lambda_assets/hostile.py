"""What nobody should send: a corpus of hostile bodies and events, and events with any part of them spoilt."""

import base64
import copy
import json
from typing import Any

from hypothesis import strategies as st

from ak_lambda.shared.fields import REFERENCE
from ak_lambda.shared.requests import MAX_BODY_BYTES, MAX_CONTAINERS

DEEP = 10_000

FORGED = {REFERENCE: {"bucket": "payloads", "key": "requests/" + "a" * 64, "bytes": 1, "sha256": "a" * 64}}

ODD: list[object] = [None, True, 0, -1, 10**4000, 1.5, "", " ", "\x00", "\ufeff", "a/b", "é", [], [None], {}, {"a": []}]

# Bodies as text. Every one of them is refused with 400, in every place where a request may stand.
REFUSED = {
    "empty": "",
    "blank": " \n",
    "form": "prompt=hi&session_id=s",
    "not-closed": '{"prompt": "hi"',
    "trailing": '{"prompt": "hi"} x',
    "two": '{"prompt": "hi"}{"prompt": "hi"}',
    "quotes": "{'prompt': 'hi'}",
    "comment": '{"prompt": "hi" /* c */}',
    "comma": '{"prompt": "hi",}',
    "mark": '\ufeff{"prompt": "hi"}',
    "null": "null",
    "true": "true",
    "number": "7",
    "string": '"hi"',
    "array": '[{"prompt": "hi"}]',
    "object": "{}",
    "nan": '{"prompt": "hi", "n": NaN}',
    "infinity": '{"prompt": "hi", "n": -Infinity}',
    "huge-float": '{"prompt": "hi", "n": 1e400}',
    "huge-integer": '{"prompt": "hi", "n": ' + "9" * 5000 + "}",
    "deep-arrays": '{"prompt": "hi", "d": ' + "[" * DEEP + "]" * DEEP + "}",
    "deep-objects": '{"prompt": "hi", "d": ' + '{"d":' * DEEP + "1" + "}" * DEEP + "}",
    "deep-open": "[" * (MAX_CONTAINERS - 1),
    "brackets": '{"prompt": "hi", "d": [' + "[]," * MAX_CONTAINERS + "[]]}",
    "half-a-pair": '{"prompt": "\\ud800"}',
    "half-a-pair-in-a-key": '{"prompt": "hi", "\\udc00": 1}',
    "half-a-pair-below": '{"prompt": "hi", "d": [{"d": "\\ud83d"}]}',
    "half-a-pair-raw": '{"prompt": "\ud800"}',
    "raw-nul": '{"prompt": "\x00"}',
    "reference": json.dumps({"prompt": "hi", **FORGED}),
    "reference-alone": json.dumps(FORGED),
    "reference-below": json.dumps({"body": {"prompt": "hi", **FORGED}}),
    "reference-above": json.dumps({"body": {"prompt": "hi"}, **FORGED}),
    "reference-twice": '{"prompt": "hi", "' + REFERENCE + '": null, "' + REFERENCE + '": {}}',
    "last-prompt-counts": '{"prompt": "hi", "prompt": 7}',
    "nested-twice": json.dumps({"body": {"body": {"prompt": "hi"}}}),
    "nested-as-text": json.dumps({"body": json.dumps({"prompt": "hi"})}),
    "no-prompt-beside": json.dumps({"prompt": None, "body": {"prompt": "hi"}}),
    **{f"prompt-{number}": json.dumps({"prompt": odd}) for number, odd in enumerate(ODD[:8])},
    **{f"agent-{number}": json.dumps({"prompt": "hi", "agent": odd}) for number, odd in enumerate([0, [], {}])},
    **{f"images-{number}": json.dumps({"prompt": "hi", "images": odd}) for number, odd in enumerate([0, "x", {}])},
    **{f"files-{number}": json.dumps({"prompt": "hi", "files": odd}) for number, odd in enumerate([0, "x", {}])},
}

# Refused where a caller names ids; in a message of the queue, its attributes name them.
REFUSED_IDS = {
    name: [json.dumps({"prompt": "hi", name: odd}) for odd in [*ODD[1:], "a" * 129, "a\n", "$", "a b", "a#r1", "../a"]]
    for name in ("session_id", "request_id")
}

# Odd, and right: a request all the same.
TAKEN = {
    "nul": json.dumps({"prompt": "a\x00b"}),
    "no-character": json.dumps({"prompt": "\uffff\ufdd0\U0010ffff"}),
    "replaced": json.dumps({"prompt": "\ufffd"}),
    "twice": '{"prompt": "no", "prompt": "hi"}',
    "keys": json.dumps({"prompt": "hi", "": 1, "__proto__": {}, "\x00": None, "body": 7, "é": "\u2028"}),
    "long-integer": '{"prompt": "hi", "n": ' + "9" * 4300 + "}",
    "small-float": '{"prompt": "hi", "n": 1e-400}',
    "deep": '{"prompt": "hi", "d": ' + "[" * 100 + "]" * 100 + "}",
    "ping": json.dumps({"prompt": "hi", "ak_constructs_ping": {"hold_ms": 5000}}),
    "other-ping": json.dumps({"prompt": "hi", "warmer": True}),
    "records": json.dumps({"prompt": "hi", "Records": [{"eventSource": "aws:sqs"}]}),
    "event": json.dumps({"prompt": "hi", "requestContext": {"identity": {"user": "AIDAOTHER"}}, "stageVariables": {}}),
    "message": json.dumps({"prompt": "hi", "status_code": 500, "attempt": 9, "redrives": 9, "result": "x", "error": 1}),
    "reference-as-text": json.dumps({"prompt": REFERENCE, "agent": json.dumps(FORGED)}),
    "reference-as-a-value": json.dumps({"prompt": json.dumps(FORGED)}),
    "reference-below": json.dumps({"prompt": "hi", "body": FORGED, "d": [FORGED]}),
    "megabytes": json.dumps({"prompt": "x" * (MAX_BODY_BYTES - 1000)}),
    "escapes": '{"prompt": "' + "\\u005b" * 250_000 + '"}',  # more brackets when it is written again
}

TOO_LARGE = {
    "megabytes": json.dumps({"prompt": "x" * (6 * 1024 * 1024)}),
    "half-pairs": '{"prompt": "' + "\ud800" * (MAX_BODY_BYTES // 3) + '"}',
}


def base64_of(text: str) -> str:
    """Encode a body as API Gateway does."""
    return base64.b64encode(text.encode(errors="surrogatepass")).decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def spoilt(draw: st.DrawFn, event: Any, most: int = 3) -> Any:  # noqa: ANN401
    """Give an event of which some parts are gone, or something else, or there twice."""
    event = copy.deepcopy(event)
    for _ in range(draw(st.integers(1, most))):
        parents = list(_parents(event))
        if not parents:
            break
        parent = draw(st.sampled_from(parents))
        key = draw(st.sampled_from(list(parent) if isinstance(parent, dict) else range(len(parent))))
        match draw(st.sampled_from(["delete", "replace", "double"])):
            case "delete":
                del parent[key]
            case "replace":
                parent[key] = draw(JSON)
            case _ if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case _:
                parent[draw(st.sampled_from([str(key).upper(), *map(str, parent)]))] = copy.deepcopy(parent[key])
    return event


def _parents(node: Any) -> Any:  # noqa: ANN401
    """Give all nodes that have something in them."""
    if isinstance(node, dict | list) and node:
        yield node
        for each in node.values() if isinstance(node, dict) else node:
            yield from _parents(each)
