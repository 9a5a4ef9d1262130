"""An agent that takes its time, behind a queue: wait for the answer, or ask for it later."""
