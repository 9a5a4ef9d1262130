"""An agent runner of Agent Kernel behind a queue, after its scalable-openai example: custom agents, and no model.

It is the same for all versions of `agentkernel`; each has pins of its own beside it.
"""

import json
import os
import time

from agentkernel.aws import ServerlessAgentRunner
from agentkernel.core import Agent, Module, Runner
from agentkernel.core.model import AgentReplyText


class EchoRunner(Runner):
    """Says what it was told, or does what the request's `do` asks for."""

    async def run(self, agent, session, requests):
        """Answer without a model, and count the turns of the conversation."""
        prompt = getattr(requests[0], "prompt", None) or requests[0].text
        extra = {each.name: each.content for each in requests[1:] if hasattr(each, "content")}
        return self.act(agent, session, prompt, extra, extra.get("do"))

    async def stream(self, agent, session, requests):
        """Say the same word by word, as behind a WebSocket; no older version knows how."""
        from agentkernel.core.event import MessageEnd, MessageStart, TextDelta  # noqa: PLC0415 - 0.6.0 has none

        reply = await self.run(agent, session, requests)
        yield MessageStart(message_id="m-1")
        for word in reply.response.split(" "):
            yield TextDelta(message_id="m-1", content=f"{word} ")
        yield MessageEnd(message_id="m-1")

    def act(self, agent, session, prompt, extra, wish):
        """Do what the request asks for, misfortunes included."""
        if wish == "raise":
            raise RuntimeError("out of luck")
        if wish == "die":
            os._exit(1)
        if wish == "sleep":
            time.sleep(extra["seconds"])
        turns = (session.get("turns") or 0) + 1
        session.set("turns", turns)
        texts = {
            "count": str(turns),
            "name the user": session.get_volatile_cache().get("ak.acting_user_id") or "nobody said",
            "list": json.dumps({name: each for name, each in extra.items() if name != "do"}, sort_keys=True),
            "grow": "x" * int(extra.get("characters", 0)),
        }
        if wish == "pause":
            return self.paused(agent, session, prompt, extra["payload"])
        return text_reply(prompt, texts.get(wish, f"{agent.name} heard {prompt}"))

    def paused(self, agent, session, prompt, payload):
        """Ask a person to decide, with a payload of any JSON: newer versions know that."""
        from agentkernel.core.event import PausedInterruption  # noqa: PLC0415 - 0.6.0 has none
        from agentkernel.core.model import AgentPausedReplyAny  # noqa: PLC0415

        asked = PausedInterruption(id="i-1", kind="input_required", message="Which?", payload=payload)
        return AgentPausedReplyAny(
            prompt=prompt, run_id="run-1", session_id=session.id, agent=agent.name, interruptions=[asked]
        )


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

    def pre_hook(self, agent, hooks):
        """Older versions ask for it."""
        raise NotImplementedError

    def post_hook(self, agent, hooks):
        """And for this."""
        raise NotImplementedError


def text_reply(prompt, text):
    """Write a reply; its text has had two names."""
    name = "response" if "response" in AgentReplyText.model_fields else "text"
    return AgentReplyText(prompt=prompt, **{name: text})


EchoModule().load([EchoAgent("echo", EchoRunner("echo"))])

handler = ServerlessAgentRunner.handle
