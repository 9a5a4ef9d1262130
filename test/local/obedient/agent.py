"""An agent that does what its request says, something else at each run if need be, and keeps account of its runs."""

import hashlib
import os
import time

import boto3
from boto3.dynamodb.conditions import Key

runs = boto3.resource("dynamodb").Table(os.environ["RUNS_TABLE"])


def respond(turn):
    """Take the instructions of this run; the last ones are those of all later runs."""
    began = {"request_id": turn.request_id, "began": time.time_ns()}
    number = runs.query(KeyConditionExpression=Key("request_id").eq(turn.request_id), ConsistentRead=True)["Count"]
    runs.put_item(Item={**began, "pid": os.getpid(), "session_id": turn.session_id})
    instructions = turn.extra.get("runs", [{}])
    do = instructions[min(number, len(instructions) - 1)]
    for text in do.get("progress", []):
        turn.progress(text)
        time.sleep(1)
    time.sleep(do.get("sleep", 0))
    if "exit" in do:
        os._exit(do["exit"])
    if "raise" in do:
        raise RuntimeError(do["raise"])
    ended = {":ended": time.time_ns()}
    runs.update_item(Key=began, UpdateExpression="SET ended = :ended", ExpressionAttributeValues=ended)
    return answer(do, turn)


def answer(do, turn):
    """Give what the request asks for."""
    if "answer" in do:
        return do["answer"]
    if "nan" in do:
        return {"result": float("nan")}
    if "bytes" in do:
        return "A" * do["bytes"]
    return {
        "result": f"SECRET answer to {turn.prompt[:100]}",
        "prompt_sha256": hashlib.sha256(turn.prompt.encode()).hexdigest(),
        "user_id": turn.user_id,
        "request_id": turn.request_id,
        "history": [[each["prompt"], each["request_id"]] for each in turn.history],
    }
