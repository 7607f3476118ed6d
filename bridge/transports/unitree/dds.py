"""Cyclone DDS as Unitree's robots use it: one participant, raw bytes in and out, and a watch on who else publishes.

The topics have the SDK's own IDL types, so type names and type identifiers are those that a robot expects, and the quality of service
is the SDK's, which is Cyclone's default: reliable writers and best-effort readers. Readers keep 16 messages here instead of one, which
concerns no other side, so that a log can hold every reading. The SDK's `Channel` is left aside, because it
prints errors and goes on. Python objects are left aside too: see `unitree_layout` for why.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUntypedBaseClass=false
from __future__ import annotations

import os
import socket
from importlib import import_module
from typing import Any
from xml.etree import ElementTree

from cyclonedds._clayer import ddspy_take, ddspy_write
from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
from cyclonedds.core import DDSException, InstanceState, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from bridge.isolation import LOOPBACK_CYCLONE, LOOPBACK_MULTICAST, isolate

LOW_STATE, LOW_COMMAND = "rt/lowstate", "rt/lowcmd"
_EVERYTHING = SampleState.Any | ViewState.Any | InstanceState.Any
_BATCH = 64
_NEWEST = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(16))


class InterfaceError(ValueError):
    """A network interface that this computer does not have."""


def choose_interface(name: str | None, domain: int) -> bool:
    """Say over which network interface the participants that this process makes from now on speak.

    Args:
        name: for example `eth0`, the cable to the robot; None for loopback, or what `CYCLONEDDS_URI` says already.
        domain: DDS domain of these participants: `CYCLONEDDS_URI` may say another interface for another one.

    Returns:
        Whether that is loopback alone, where no robot can be, only a program on this computer that plays one.

    Raises:
        InterfaceError: no such interface.
    """
    isolate()
    if name is not None:
        known = [interface for _, interface in socket.if_nameindex()]
        if name not in known:
            raise InterfaceError(f"no network interface {name!r}; this computer has {', '.join(known)}")
        os.environ["CYCLONEDDS_URI"] = LOOPBACK_MULTICAST if name == "lo" else interface_config(name)
    elif os.environ.get("CYCLONEDDS_URI", LOOPBACK_CYCLONE) == LOOPBACK_CYCLONE:  # which nobody chose
        os.environ["CYCLONEDDS_URI"] = LOOPBACK_MULTICAST
    return loopback_alone(os.environ["CYCLONEDDS_URI"], domain)


def loopback_alone(uri: str, domain: int) -> bool:
    """Whether a `CYCLONEDDS_URI` names interfaces for a DDS domain, and none but `lo`; false where that is not sure.

    A `<Domain>` counts for every domain unless its `Id` is another number. Each that counts has to name `lo`: what one leaves out, Cyclone
    chooses by itself.
    """
    try:
        root = ElementTree.fromstring(uri)
    except ElementTree.ParseError:  # a file, or a list of several
        return False
    named = [_interfaces(element) for element in root if _tag(element) == "domain" and _counts(element, domain)]
    return bool(named) and all(names == {"lo"} for names in named)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2].lower()


def _counts(element: ElementTree.Element, domain: int) -> bool:
    """Whether a `<Domain>` may say something of this domain."""
    number = next((value for name, value in element.items() if name.lower() == "id"), "any").strip()
    return not (number.isdecimal() and int(number) != domain)


def _interfaces(element: ElementTree.Element) -> set[str | None]:
    return {inner.get("name") for inner in element.iter() if _tag(inner).startswith("networkinterface")}


MOST_DOMAINS = 232
SIMULATORS = 1  # the domain of Unitree's own simulators as they are delivered


def interface_config(name: str) -> str:
    """Cyclone DDS's configuration for one interface with multicast, which is how the robot finds this computer."""
    interface = f'<NetworkInterface name="{name}" priority="default" multicast="default"/>'
    return f'<CycloneDDS><Domain Id="any"><General><Interfaces>{interface}</Interfaces></General></Domain></CycloneDDS>'


def choose_domain(domain: int | None) -> int:
    """The DDS domain: the given one, else that of `ROS_DOMAIN_ID`, else 0, which is where Unitree's robots are."""
    text = os.environ.get("ROS_DOMAIN_ID", "0") if domain is None else str(domain)
    if not text.isdigit() or int(text) > MOST_DOMAINS:
        raise InterfaceError(f"the DDS domain (ROS_DOMAIN_ID) must be a number from 0 to {MOST_DOMAINS}, not {text!r}")
    return int(text)


def types_of(family: str) -> Any:
    """The SDK's module of the IDL types of a family, `unitree_go` or `unitree_hg`."""
    return import_module(f"unitree_sdk2py.idl.{family}.msg.dds_")


def _type_name(kind: Any) -> str:
    """An IDL type's name on the wire."""
    return str(kind.__idl_typename__).replace(".", "::")


class FrameReader(DataReader[Any]):
    """A reader that hands out messages as they came over the wire."""

    def take_frames(self) -> list[bytes]:
        """The messages that have not been taken, oldest first.

        Raises:
            DDSException: what Cyclone says.
        """
        samples = ddspy_take(self._ref, _EVERYTHING, _BATCH)
        if isinstance(samples, int):
            raise DDSException(samples, "while taking messages")
        return [data for data, info in samples if info.valid_data]


class FrameWriter(DataWriter[Any]):
    """A writer that takes messages as they go over the wire."""

    def write_frame(self, message: memoryview) -> None:
        """Send.

        Raises:
            DDSException: what Cyclone says.
        """
        code = ddspy_write(self._ref, message)
        if code < 0:
            raise DDSException(code, "while writing a message")


class Wire:
    """One participant in a domain with the topics of one family.

    Attributes:
        types: the SDK's module of this family's IDL types.
    """

    def __init__(self, family: str, domain: int) -> None:
        """Join `domain` for the messages of `family` (`unitree_go` or `unitree_hg`); nothing is announced but the participant."""
        self.types: Any = types_of(family)
        self._domain = domain
        try:
            self._participant = DomainParticipant(domain)
        except DDSException as error:
            raise InterfaceError(f"cannot join DDS domain {domain} (CYCLONEDDS_URI, network interface): {error}") from error
        self._publications: Any = BuiltinDataReader(self._participant, BuiltinTopicDcpsPublication)
        self._news = ReadCondition(self._publications, ViewState.Any | InstanceState.Any | SampleState.NotRead)
        self._topic_of: dict[Any, tuple[str, str]] = {}
        self._waitset = WaitSet(self._participant)
        self._conditions: list[Any] = []
        self._own: set[Any] = set()

    def reader(self, name: str, kind: Any) -> FrameReader:
        """A reader of topic `name` and IDL type `kind`, whose messages wake `wait`."""
        reader = FrameReader(self._participant, Topic(self._participant, name, kind), _NEWEST)
        condition = ReadCondition(reader, ViewState.Any | InstanceState.Any | SampleState.NotRead)
        self._waitset.attach(condition)
        self._conditions.append(condition)
        return reader

    def writer(self, name: str, kind: Any) -> FrameWriter:
        """A writer to topic `name` with IDL type `kind`."""
        writer = FrameWriter(self._participant, Topic(self._participant, name, kind))
        self._own.add(writer.guid)
        return writer

    def wait(self, timeout_ns: int) -> bool:
        """Sleep until a reader has a message, or the time is over. Returns whether one has."""
        return self._waitset.wait(max(0, timeout_ns)) > 0

    def publishers(self, name: str, kind: Any = None) -> int:
        """How many others publish to topic `name`, as far as is known; costs microseconds while nothing changes.

        A publisher that dies without a word counts until its lease is over, 10 s by default.

        Args:
            name: of the topic.
            kind: IDL type of those that count; None for any.
        """
        types = self._types_published(name)
        return len(types) if kind is None else types.count(_type_name(kind))

    def _types_published(self, name: str) -> list[str]:
        """The name of the IDL type of each other publisher of topic `name`."""
        while samples := self._publications.take(_BATCH, condition=self._news):
            for sample in samples:
                if sample.sample_info.instance_state == InstanceState.Alive:
                    self._topic_of[sample.key] = sample.topic_name, sample.type_name
                else:
                    self._topic_of.pop(sample.key, None)
        return [kind for key, (topic, kind) in self._topic_of.items() if topic == name and key not in self._own]

    def missing(self, name: str, kind: Any, loopback: bool) -> str:
        """Why no message of topic `name` and IDL type `kind` comes, as far as is known."""
        wanted = _type_name(kind)
        others = sorted(set(self._types_published(name)) - {wanted})
        if others:
            return f"{name} is published here as {', '.join(others)}, but the policy's robot sends {wanted}: is it another robot?"
        advice = (
            f"Unitree's simulators are in domain {SIMULATORS} (--dds-domain {SIMULATORS})"
            if loopback
            else "is the robot on, and the cable in?"
        )
        return f"nobody publishes {name} in DDS domain {self._domain}; {advice}"

    def close(self) -> None:
        """Leave the domain."""
        del self._waitset, self._conditions, self._news, self._publications, self._participant
