"""One parameter of AWS Systems Manager: a few words that outlast a run."""

from typing import Any

from ak_lambda.shared.calls import CallError, calling


class Parameter:
    """A String parameter by its name."""

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - boto3 makes its classes at run time
        self._client = client
        self._name = name

    def read(self) -> str | None:
        """Give its value; None if there is no such parameter yet."""
        try:
            found = calling("GetParameter", lambda: self._client.get_parameter(Name=self._name))
        except CallError as error:
            if error.code == "ParameterNotFound":
                return None
            raise
        value: str = found["Parameter"]["Value"]
        return value

    def write(self, value: str) -> None:
        """Set it."""
        calling(
            "PutParameter",
            lambda: self._client.put_parameter(Name=self._name, Value=value, Type="String", Overwrite=True),
        )
