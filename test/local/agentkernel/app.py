"""An Agent Kernel application with a custom agent that calls no model, written after its documentation."""

import json

from agentkernel.aws import Lambda
from agentkernel.core import Agent, Module, Runner
from agentkernel.core.model import AgentReplyText


class EchoRunner(Runner):
    """Says what it was told."""

    async def run(self, agent, session, requests):
        """Answer without a model."""
        prompt = requests[0].prompt
        return AgentReplyText(prompt=prompt, response=f"{agent.name} heard {prompt}")

    async def stream(self, agent, session, requests):
        """Not used behind a REST API."""
        raise NotImplementedError
        yield


class EchoAgent(Agent):
    """An agent of no framework."""

    def get_description(self):
        """Describe it."""
        return "Says what it was told."

    def override_system_prompt(self, prompt):
        """It has none."""

    def attach_tool(self, tool):
        """It uses none."""

    def get_a2a_card(self):
        """It has none."""


class EchoModule(Module):
    """Registers agents."""

    def _wrap(self, agent, agents):
        return agent

    def load(self, agents):
        """Register them."""
        return super().load(agents)


EchoModule().load([EchoAgent("echo", EchoRunner("echo"))])


@Lambda.register("/app", method="GET")
def app_route(event, context):
    """A custom route."""
    return {"agents": ["echo"]}


@Lambda.register("/app_info", method="POST")
def app_info_route(event, context):
    """Another, with a body."""
    return {"request": json.loads(event.get("body") or "{}")}


handler = Lambda.handler
