"""What AWS would refuse of a function on managed instances is refused before deployment."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk.assertions import Annotations, Match, Template

from ak_constructs import AgentFunction, SharedCapacityProvider
from test.pools import define_function, pool_of

MORNING = scheduler.ScheduleExpression.cron(hour="8", minute="0")
RUNTIME = "must be Python 3.13, Node.js 22, Java 21, .NET 8, provided.al2023 or a later one"


def add(pool: SharedCapacityProvider, function: lambda_.IFunction, **arguments: Any) -> lambda_.Alias:  # noqa: ANN401
    """Add a function, as in most examples but for what is said."""
    settings: dict[str, Any] = {"memory_gib_per_vcpu": 4, "max_concurrency": 4, **arguments}
    return pool.add_function(function, **settings)


REFUSED_FUNCTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "architecture": (
        {"architecture": lambda_.Architecture.X86_64},
        (
            "architecture of Stack/Function must be the pool's, arm64, got x86_64; "
            "build the function for arm64 or give the pool the other architecture"
        ),
    ),
    "no architecture": (
        {"architecture": None},
        (
            "architecture of Stack/Function must be the pool's, arm64, got x86_64; "
            "build the function for arm64 or give the pool the other architecture"
        ),
    ),
    **{
        runtime.name: (
            {"runtime": runtime},
            f"runtime of Stack/Function {RUNTIME}, got {runtime.name}; managed instances have no older one",
        )
        for runtime in (
            lambda_.Runtime.PYTHON_3_12,
            lambda_.Runtime.NODEJS_20_X,
            lambda_.Runtime("java17", lambda_.RuntimeFamily.JAVA, supports_inline_code=True),
            lambda_.Runtime("java8.al2", lambda_.RuntimeFamily.JAVA, supports_inline_code=True),
            lambda_.Runtime("dotnet6", lambda_.RuntimeFamily.DOTNET_CORE, supports_inline_code=True),
            lambda_.Runtime("provided.al2", lambda_.RuntimeFamily.OTHER, supports_inline_code=True),
            lambda_.Runtime("ruby3.4", lambda_.RuntimeFamily.RUBY, supports_inline_code=True),
        )
    },
    "memory left out": (
        {"memory_size": None},
        "memory_size of Stack/Function must be 2048 to 32768 MB on managed instances, got 128; set that",
    ),
    "little memory": (
        {"memory_size": 2047},
        "memory_size of Stack/Function must be 2048 to 32768 MB on managed instances, got 2047; set that",
    ),
    "much memory": (
        {"memory_size": 32_769},
        "memory_size of Stack/Function must be 2048 to 32768 MB on managed instances, got 32769; set that",
    ),
    "timeout": (
        {"timeout": cdk.Duration.seconds(5401)},
        "timeout of Stack/Function must be at most 5400 s on managed instances, got 5401 s; shorten it",
    ),
    "SnapStart": (
        {"snap_start": lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS, "architecture": lambda_.Architecture.ARM_64},
        "snap_start of Stack/Function must be left out, got one; there are no cold starts on managed instances",
    ),
    "reserved concurrency": (
        {"reserved_concurrent_executions": 0},
        (
            "reserved_concurrent_executions of Stack/Function must be left out, got one; max_execution_environments "
            "bounds how much it runs"
        ),
    ),
    "tenancy": (
        {"tenancy_config": lambda_.TenancyConfig.PER_TENANT},
        (
            "tenancy_config of Stack/Function must be left out, got one; tenants share an environment, and a pool is "
            "one trust boundary"
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED_FUNCTIONS)
def test_fails_when_aws_would_refuse_the_function(stack: cdk.Stack, name: str) -> None:
    """With what is wrong, what it is and what to do."""
    settings, message = REFUSED_FUNCTIONS[name]
    pool, function = pool_of(stack), define_function(stack, **settings)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        add(pool, function)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "runtime",
    [
        lambda_.Runtime.PYTHON_3_14,
        lambda_.Runtime.NODEJS_22_X,
        lambda_.Runtime("java25", lambda_.RuntimeFamily.JAVA, supports_inline_code=True),
        lambda_.Runtime("dotnet10", lambda_.RuntimeFamily.DOTNET_CORE, supports_inline_code=True),
        lambda_.Runtime("provided.al2023", lambda_.RuntimeFamily.OTHER, supports_inline_code=True),
    ],
    ids=lambda runtime: runtime.name,
)
def test_a_recent_runtime_is_taken(stack: cdk.Stack, runtime: lambda_.Runtime) -> None:
    """Of every language that managed instances have."""
    add(pool_of(stack), define_function(stack, runtime=runtime))


def test_a_function_with_what_is_known_at_deployment_only_is_taken(stack: cdk.Stack) -> None:
    """It cannot be checked, and it does not count against the ceiling."""
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    text = cdk.CfnParameter(stack, "Text").value_as_string
    pool, function = pool_of(stack, max_vcpu_count=16), define_function(stack, memory_size=number)
    resource: Any = function.node.default_child
    resource.runtime, resource.timeout = text, number
    live = add(pool, function, max_concurrency=1600)
    pool.add_environments_schedule(
        "Morning", alias=live, schedule=MORNING, min_execution_environments=1, max_execution_environments=15_000
    )
    add(pool, define_function(stack, "Other"), min_execution_environments=number, max_execution_environments=number)
    add(pool, define_function(stack, "Another"), memory_gib_per_vcpu=number)
    add(pool, define_function(stack, "Fourth"), min_execution_environments=1, max_execution_environments=number)


def test_an_image_is_taken(stack: cdk.Stack) -> None:
    """What runtime is in it nobody can see."""
    pool, function = pool_of(stack), define_function(stack)
    resource: Any = function.node.default_child
    resource.runtime = None
    add(pool, function)


def test_the_longest_timeout_is_taken(stack: cdk.Stack) -> None:
    """5400 s, as it is."""
    add(pool_of(stack), define_function(stack, timeout=cdk.Duration.seconds(5400)))


def test_an_agent_is_taken(stack: cdk.Stack, agent: AgentFunction) -> None:
    """With the memory that it needs."""
    pool = pool_of(stack)
    with pytest.raises(ValueError, match=r"^memory_size of Stack/Agent must be 2048 to 32768 MB"):
        add(pool, agent)
    resource: Any = agent.node.default_child
    resource.memory_size = 4096
    add(pool, agent)


def test_fails_when_a_function_has_a_vpc_of_its_own(stack: cdk.Stack) -> None:
    """It would not be used."""
    pool = pool_of(stack)
    function = define_function(stack, vpc=ec2.Vpc(stack, "Vpc", max_azs=1))
    message = r"^vpc of Stack/Function must be left out, got one; a function on managed instances is in the pool's VPC$"
    with pytest.raises(ValueError, match=message):
        add(pool, function)


PROVISIONED: dict[str, Callable[[lambda_.Function], object]] = {
    "a version": lambda function: function.current_version,
    "an alias": lambda function: function.add_alias("other", provisioned_concurrent_executions=1),
    "scaling": lambda function: function.add_alias("other").add_auto_scaling(max_capacity=2),
}


@pytest.mark.parametrize("name", PROVISIONED)
def test_fails_when_there_is_provisioned_concurrency(stack: cdk.Stack, name: str) -> None:
    """Wherever it was said."""
    options = lambda_.VersionOptions(provisioned_concurrent_executions=1) if name == "a version" else None
    pool, function = pool_of(stack), define_function(stack, current_version_options=options)
    PROVISIONED[name](function)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        add(pool, function)
    assert str(raised.value) == (
        "provisioned concurrency of Stack/Function must be left out of its versions and aliases, got one; "
        "min_execution_environments keeps environments ready"
    )


def test_fails_when_the_options_of_versions_have_provisioned_concurrency(stack: cdk.Stack) -> None:
    """Though no version has been made yet."""
    options = lambda_.VersionOptions(provisioned_concurrent_executions=1)
    pool, function = pool_of(stack), define_function(stack, current_version_options=options)
    with pytest.raises(ValueError, match=r"^provisioned concurrency of Stack/Function must be left out"):
        add(pool, function)


def test_fails_when_the_options_of_versions_say_the_environments(stack: cdk.Stack) -> None:
    """They would not be counted."""
    options = lambda_.VersionOptions(min_execution_environments=1, max_execution_environments=2)
    pool, function = pool_of(stack), define_function(stack, current_version_options=options)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        add(pool, function)
    assert str(raised.value) == (
        "current_version_options of Stack/Function must leave out how many environments there are, got them; "
        "give min_execution_environments and max_execution_environments to add_function"
    )


@pytest.mark.parametrize("kind", ["imported", "a version", "an alias"])
def test_fails_when_it_is_not_the_function_itself(stack: cdk.Stack, kind: str) -> None:
    """Only that has what must be set."""
    function: lambda_.IFunction = lambda_.Function.from_function_name(stack, "Given", "x")
    if kind != "imported":
        own = define_function(stack)
        function = own.current_version if kind == "a version" else own.add_alias("other")
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        add(pool_of(stack), function)
    assert str(raised.value) == (
        f"function must be a function of this app, got {function.node.path}, which is imported, a version or an alias; "
        "give the function itself, where it is defined"
    )


def test_fails_when_a_function_is_in_another_region(app: cdk.App, stack: cdk.Stack) -> None:
    """A pool is in one."""
    there = cdk.Stack(app, "There", env=cdk.Environment(account="123456789012", region="eu-west-1"))
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        add(pool_of(stack), define_function(there))
    assert str(raised.value) == (
        "There/Function must be in the pool's account and region, aws://unknown-account/unknown-region, "
        "got aws://123456789012/eu-west-1; define a pool for each of them"
    )


def test_fails_when_a_function_is_added_twice(stack: cdk.Stack) -> None:
    """It runs on one pool."""
    pool, function = pool_of(stack), define_function(stack)
    add(pool, function)
    message = (
        r"^Stack/Function must be on one capacity provider, got a second; add a function to one pool, once, "
        r"and take the alias that it gives$"
    )
    with pytest.raises(ValueError, match=message):
        add(pool, function, alias="other")


REFUSED_ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "little memory for a vCPU": (
        {"memory_gib_per_vcpu": 1.5},
        "memory_gib_per_vcpu must be at least 2, got 1.5; give 4 or 8, as AWS advises for Python",
    ),
    "much memory for a vCPU": (
        {"memory_gib_per_vcpu": 9},
        "memory_gib_per_vcpu must be at most 8, got 9; give 4 or 8, as AWS advises for Python",
    ),
    "less than a vCPU": (
        {"memory_gib_per_vcpu": 8},
        (
            "memory_gib_per_vcpu must leave an environment of Stack/Function 1 vCPU or more, got 0.5 "
            "(4096 MB at 8 GiB each); raise memory_size or lower it"
        ),
    ),
    "no runs": (
        {"max_concurrency": 0},
        "max_concurrency must be at least 1, got 0; an environment has one run or more",
    ),
    "many runs": (
        {"max_concurrency": 65},
        "max_concurrency must be at most 64, got 65; a vCPU takes 64, so lower it or give the environment more vCPUs",
    ),
    "only a minimum": (
        {"min_execution_environments": 1},
        ("max_execution_environments must be given with min_execution_environments, got None; give both or neither"),
    ),
    "only a maximum": (
        {"max_execution_environments": 1},
        ("min_execution_environments must be given with max_execution_environments, got None; give both or neither"),
    ),
    "no environment": (
        {"min_execution_environments": 0, "max_execution_environments": 0},
        (
            "min_execution_environments must be at least 1, got 0; "
            "0 deactivates a version until somebody activates it again"
        ),
    ),
    "many environments": (
        {"min_execution_environments": 1, "max_execution_environments": 15_001},
        "max_execution_environments must be at most 15000, got 15001; lower it: the service takes no more",
    ),
    "more at least than at most": (
        {"min_execution_environments": 3, "max_execution_environments": 2},
        "min_execution_environments must be at most 2, got 3; lower it or raise max_execution_environments",
    ),
    "a number for a name": (
        {"alias": "12"},
        """alias must be a name such as "live", got '12'""",
    ),
    "over the ceiling": (
        {"min_execution_environments": 1, "max_execution_environments": 65},
        (
            "the environments of a pool must need at most its max_vcpu_count, 64, got 65 vCPUs "
            "(Stack/Function 65 x 1 = 65); lower max_execution_environments or raise max_vcpu_count"
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED_ARGUMENTS)
def test_fails_when_an_argument_is_out_of_range(stack: cdk.Stack, name: str) -> None:
    """With the range and the way out."""
    arguments, message = REFUSED_ARGUMENTS[name]
    pool, function = pool_of(stack), define_function(stack)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        add(pool, function, **arguments)
    assert str(raised.value) == message


def test_an_environment_of_many_vcpus_has_as_many_runs_as_the_service_takes(stack: cdk.Stack) -> None:
    """64 for each."""
    pool = pool_of(stack, instance_types=[ec2.InstanceType("m7g.16xlarge")], max_vcpu_count=1000)
    add(pool, define_function(stack, memory_size=8192), memory_gib_per_vcpu=4, max_concurrency=128)
    with pytest.raises(ValueError, match=r"^max_concurrency must be at most 1024, got 1601"):
        add(pool, define_function(stack, "B", memory_size=32_768), memory_gib_per_vcpu=2, max_concurrency=1601)


def test_warns_of_a_part_of_a_vcpu(stack: cdk.Stack) -> None:
    """Whole ones pass without a word."""
    pool = pool_of(stack)
    add(pool, define_function(stack, "Whole", memory_size=8192))
    Annotations.from_stack(stack).has_no_warning("/Stack/Pool", Match.any_value())
    add(pool, define_function(stack, "Part", memory_size=6144))
    Annotations.from_stack(stack).has_warning(
        "/Stack/Pool",
        "memory_size of Stack/Part should be a multiple of memory_gib_per_vcpu, got 1.5 vCPUs; "
        "change one of the two if Lambda refuses it [ack: ak-constructs:shared_capacity_provider.part_of_a_vcpu]",
    )


def test_fails_when_the_alias_is_there_already(stack: cdk.Stack) -> None:
    """CDK would speak of a construct id."""
    pool, function = pool_of(stack), define_function(stack)
    function.add_alias("live")
    message = r"^alias must be one that Stack/Function has not yet, got 'live'; name another$"
    with pytest.raises(ValueError, match=message):
        add(pool, function)


@pytest.mark.parametrize(
    ("memory_size", "gib_per_vcpu", "needs"),
    [(16_384, 2, "8 vCPUs and 16 GiB"), (20_480, 8, "2.5 vCPUs and 20 GiB")],
)
def test_fails_when_an_environment_fits_into_no_instance(
    stack: cdk.Stack, memory_size: int, gib_per_vcpu: int, needs: str
) -> None:
    """By its vCPUs or its memory."""
    pool, function = pool_of(stack), define_function(stack, memory_size=memory_size)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        add(pool, function, memory_gib_per_vcpu=gib_per_vcpu)
    assert str(raised.value) == (
        "an environment of Stack/Function must fit into one of the pool's instances, m6g.large, m6g.xlarge, m7g.large, "
        f"m7g.xlarge, got {needs}; lower memory_size or take larger instance_types"
    )


def test_an_environment_may_fill_an_instance(stack: cdk.Stack) -> None:
    """An xlarge of the letter M has 4 vCPUs and 16 GiB."""
    add(pool_of(stack), define_function(stack, memory_size=16_384), memory_gib_per_vcpu=4)


def test_an_instance_with_more_memory_than_its_letter_has_takes_more(stack: cdk.Stack) -> None:
    """A c5n.large has 2 vCPUs and 5.25 GiB, where other types of the letter C have 4."""
    x86_64 = lambda_.Architecture.X86_64
    pool = pool_of(stack, architecture=x86_64, instance_types=[ec2.InstanceType("c5n.large")])
    add(pool, define_function(stack, architecture=x86_64, memory_size=5120), memory_gib_per_vcpu=2.5)


def test_fails_when_functions_together_need_more_than_there_is(stack: cdk.Stack) -> None:
    """Each with its share: 3 environments where nothing is said, the most where it is."""
    pool = pool_of(stack, max_vcpu_count=16)
    add(pool, define_function(stack, "A", memory_size=8192))
    add(pool, define_function(stack, "B"), min_execution_environments=1, max_execution_environments=10)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        add(pool, define_function(stack, "C"), min_execution_environments=1, max_execution_environments=1)
    assert str(raised.value) == (
        "the environments of a pool must need at most its max_vcpu_count, 16, got 17 vCPUs "
        "(Stack/A 3 x 2 = 6, Stack/B 10 x 1 = 10, Stack/C 1 x 1 = 1); "
        "lower max_execution_environments or raise max_vcpu_count"
    )


def test_fails_when_a_schedule_needs_more_than_there_is(stack: cdk.Stack) -> None:
    """The most that any of a function's schedules says is its share."""
    pool = pool_of(stack, max_vcpu_count=16)
    live = add(pool, define_function(stack, "A"), min_execution_environments=1, max_execution_environments=4)
    add(pool, define_function(stack, "B"), min_execution_environments=1, max_execution_environments=4)
    message = r"^the environments of a pool .*, 16, got 17 vCPUs \(Stack/B 4 x 1 = 4, Stack/A 13 x 1 = 13\); lower "
    with pytest.raises(ValueError, match=message):
        pool.add_environments_schedule(
            "Noon", alias=live, schedule=MORNING, min_execution_environments=1, max_execution_environments=13
        )
    pool.add_environments_schedule(
        "Morning", alias=live, schedule=MORNING, min_execution_environments=1, max_execution_environments=12
    )
    pool.add_environments_schedule(
        "Night", alias=live, schedule=MORNING, min_execution_environments=1, max_execution_environments=2
    )
    with pytest.raises(ValueError, match=r"got 17 vCPUs \(Stack/A 12 x 1 = 12, Stack/B 4 x 1 = 4, Stack/C 1 x 1 = 1\)"):
        add(pool, define_function(stack, "C"), min_execution_environments=1, max_execution_environments=1)


def test_fails_when_a_schedule_would_deactivate_a_function(stack: cdk.Stack) -> None:
    """Nothing that calls it would wake it."""
    pool = pool_of(stack)
    live = add(pool, define_function(stack))
    with pytest.raises(ValueError, match=r"^min_execution_environments must be at least 1, got 0; 0 deactivates"):
        pool.add_environments_schedule(
            "Night", alias=live, schedule=MORNING, min_execution_environments=0, max_execution_environments=0
        )


def test_fails_when_a_schedule_is_for_another_alias(stack: cdk.Stack) -> None:
    """One of a function on no pool, for one."""
    pool, other = pool_of(stack), define_function(stack).add_alias("other")
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        pool.add_environments_schedule(
            "Night", alias=other, schedule=MORNING, min_execution_environments=1, max_execution_environments=1
        )
    assert str(raised.value) == (
        "alias must be one that add_function of this pool gave, got Stack/Function/Aliasother; add the function first"
    )


def test_fails_at_synthesis_when_the_function_was_changed_afterwards(stack: cdk.Stack) -> None:
    """By its resource, or by provisioned concurrency on the alias."""
    pool, function = pool_of(stack), define_function(stack)
    live = add(pool, function)
    resource: Any = function.node.default_child
    resource.memory_size, resource.reserved_concurrent_executions = 1024, 5
    live.add_auto_scaling(max_capacity=2)
    with pytest.raises(RuntimeError) as raised:
        Template.from_stack(stack)
    for refused in (
        "[Stack/Pool] memory_size of Stack/Function must be 2048 to 32768 MB on managed instances, got 1024",
        "[Stack/Pool] reserved_concurrent_executions of Stack/Function must be left out",
        "[Stack/Pool] provisioned concurrency of Stack/Function must be left out",
    ):
        assert refused in str(raised.value)


@pytest.mark.parametrize(("memory_size", "vcpus"), [(4096, "0.5"), (None, "0.015625")])
def test_fails_at_synthesis_when_an_environment_is_too_small_by_now(
    stack: cdk.Stack, memory_size: int | None, vcpus: str
) -> None:
    """Enough memory for a function, but not for a vCPU; or Lambda's own default."""
    pool, function = pool_of(stack), define_function(stack, memory_size=8192)
    add(pool, function, memory_gib_per_vcpu=8)
    resource: Any = function.node.default_child
    resource.memory_size = memory_size
    message = (
        rf"\[Stack/Pool\] memory_gib_per_vcpu must leave an environment of Stack/Function 1 vCPU or more, got {vcpus} "
    )
    with pytest.raises(RuntimeError, match=message):
        Template.from_stack(stack)


def test_fails_at_synthesis_when_an_environment_has_too_few_vcpus_by_now(stack: cdk.Stack) -> None:
    """Those of its runs were counted before."""
    pool, function = pool_of(stack), define_function(stack, memory_size=8192)
    add(pool, function, max_concurrency=128)
    resource: Any = function.node.default_child
    resource.memory_size = 4096
    with pytest.raises(RuntimeError, match=r"\[Stack/Pool\] max_concurrency must be at most 64, got 128; a vCPU takes"):
        Template.from_stack(stack)


def test_fails_at_synthesis_when_the_pool_has_a_fixed_name(stack: cdk.Stack) -> None:
    """A change would replace it, and the new one could not have the name."""
    resource: Any = pool_of(stack).capacity_provider.node.default_child
    resource.capacity_provider_name = "agents"
    with pytest.raises(RuntimeError) as raised:
        Template.from_stack(stack)
    assert (
        "[Stack/Pool] capacity_provider_name must be left out, got 'agents'; almost every change replaces the pool, "
        "and CloudFormation makes the new one before it deletes the old one of that name"
    ) in str(raised.value)
