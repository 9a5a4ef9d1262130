# mypy: ignore-errors
"""An agent that asks a model on Amazon Bedrock, as one would write it without ak_constructs."""

import os

import boto3

bedrock = boto3.client("bedrock-runtime")


def respond(turn):
    """Answer one turn of a conversation; the caller says what was said before, as there is no session store here."""
    said = [(each["role"], each["text"]) for each in turn.extra.get("said") or []]
    answer = bedrock.converse(
        modelId=os.environ["MODEL_ID"],
        system=[{"text": "You are a helpful assistant. Answer in one paragraph."}],
        messages=[{"role": role, "content": [{"text": text}]} for role, text in [*said, ("user", turn.prompt)]],
        inferenceConfig={"maxTokens": 1000},
    )
    return answer["output"]["message"]["content"][0]["text"]
