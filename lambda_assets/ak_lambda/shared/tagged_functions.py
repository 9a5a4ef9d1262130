"""Finds functions by their tags."""

from collections.abc import Mapping
from typing import Any

from ak_lambda.shared.calls import pages
from ak_lambda.shared.functions_api import unqualified


def tagged_functions(client: Any, tags: Mapping[str, str]) -> frozenset[str]:  # noqa: ANN401 - boto3's own class
    """Give the ARNs of the functions that bear all of the tags."""
    found = pages(
        client,
        "get_resources",
        "ResourceTagMappingList",
        ResourceTypeFilters=["lambda:function"],
        TagFilters=[{"Key": key, "Values": [value]} for key, value in tags.items()],
    )
    return frozenset(unqualified(each["ResourceARN"]) for each in found)
