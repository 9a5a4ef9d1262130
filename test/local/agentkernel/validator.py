"""The same validator, as `Authorization.jwt(custom=...)` takes it."""

from auth import Validator

validate = Validator().validate
