"""Agent Kernel's request handler, after its scalable-openai example: what our pipeline is compared with."""

from agentkernel.aws import Lambda

handler = Lambda.handler
