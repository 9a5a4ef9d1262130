"""One queue: sends to it, and changes when a message of it is seen again."""

from typing import Any

from ak_lambda.shared.messages import ToSend


class Queue:
    """A queue by its URL; a FIFO queue's name ends so, and only it takes deduplication ids."""

    def __init__(self, client: Any, url: str) -> None:  # noqa: ANN401 - boto3 makes its classes at run time
        self._client = client
        self._url = url
        self._fifo = url.endswith(".fifo")

    def send(self, message: ToSend) -> None:
        """Send a message."""
        named = {"MessageDeduplicationId": message.deduplication_id} if self._fifo else {}
        # A standard queue's group is for fairness, and need not reach the consumer: there an attribute says it too.
        attributes = message.attributes if self._fifo else {**message.attributes, "session_id": message.group}
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=message.body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
            MessageGroupId=message.group,
            **named,
        )

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Let a received message be seen again so many seconds from now."""
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )

    def receive(self, most: int, *, hold_seconds: int) -> list[dict[str, Any]]:
        """Receive messages, in the form in which an event source mapping would hand them over."""
        response = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=most,
            VisibilityTimeout=hold_seconds,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": {
                    name: {"stringValue": value.get("StringValue")}
                    for name, value in message.get("MessageAttributes", {}).items()
                },
            }
            for message in response.get("Messages", [])
        ]

    def delete(self, receipt_handle: str) -> None:
        """Let go of a received message."""
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt_handle)
