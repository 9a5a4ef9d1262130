"""Agent Kernel's response handler, after its scalable-openai example: what our pipeline is compared with."""

from agentkernel.aws import ResponseHandler

handler = ResponseHandler.handle
