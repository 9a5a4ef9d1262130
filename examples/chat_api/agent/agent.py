"""An agent that asks a model on Amazon Bedrock, as one would write it without ak_constructs."""

import os

import boto3

bedrock = boto3.client("bedrock-runtime")


def respond(turn):
    """Answer one turn of a conversation."""
    answer = bedrock.converse(
        modelId=os.environ["MODEL_ID"],
        system=[{"text": "You are a helpful assistant. Answer in one paragraph."}],
        messages=[*turn.extra.get("messages", []), {"role": "user", "content": [{"text": turn.prompt}]}],
    )
    return answer["output"]["message"]["content"][0]["text"]
