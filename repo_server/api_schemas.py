# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents of the REST API, as OpenAPI describes them."""

from __future__ import annotations

from apiflask import Schema
from apiflask.fields import Boolean, Dict, Integer, List, Nested, String, Tuple
from apiflask.validators import Length, Range, Regexp

_CHANNEL = Regexp(r"^[a-z0-9][a-z0-9+.-]*$")
_COUNT = Range(min=0, max=1 << 53)


class Channel(Schema):
    name = String(required=True)
    targets = List(String(), required=True)
    packages = Integer(required=True)
    waiting = Integer(
        required=True, metadata={"description": "What comes or goes with the next publication."}
    )


class Package(Schema):
    channel = String(required=True)
    target = String(required=True)
    name = String(required=True)
    version = String(required=True)
    architecture = String(required=True)
    size = Integer(required=True)
    sha256 = String(required=True)
    file = String(required=True, metadata={"description": "Its path on this server."})
    generation = Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The first that shows it; null: it waits."},
    )


class PackagesQuery(Schema):
    name = String(validate=Length(max=200))
    start = Integer(load_default=0, validate=_COUNT)
    limit = Integer(load_default=1000, validate=Range(min=1, max=10000))


class Opkg(Schema):
    name = String(required=True)
    version = String(required=True)
    target = String(required=True)
    summary = String(required=True)
    category = String(required=True)


class Generation(Schema):
    number = Integer(required=True)
    published = String(required=True)
    state = String(required=True, metadata={"description": "live, kept or past"})
    channels = Dict(
        keys=String(),
        values=Tuple((Integer(), Integer())),
        required=True,
        metadata={"description": "How many packages each channel got and lost."},
    )


class Change(Schema):
    channel = String(required=True)
    target = String(required=True)
    packages = Integer(required=True)
    removed = Integer(required=True)


class Published(Schema):
    generation = Integer(required=True)
    published = String(required=True)
    valid_until = String(required=True)
    changes = List(Nested(Change), required=True)


class Moved(Schema):
    channel = String(required=True)
    target = String(required=True)
    name = String(required=True)
    version = String(required=True)
    architecture = String(required=True)


class RemoveOrder(Schema):
    names = List(
        String(validate=Length(min=1, max=300)), required=True, validate=Length(min=1, max=1000)
    )
    target = String(validate=Length(max=100))


class PromoteOrder(Schema):
    origin = String(required=True, validate=_CHANNEL)
    names = List(
        String(validate=Length(min=1, max=300)), load_default=list, validate=Length(max=1000)
    )


class RollbackOrder(Schema):
    generation = Integer(
        load_default=None,
        allow_none=True,
        validate=Range(min=1, max=1 << 31),
        metadata={"description": "Without it: before the channel's last change."},
    )


class CollectOrder(Schema):
    keep = Integer(load_default=None, allow_none=True, validate=Range(min=1, max=1 << 31))


class Collected(Schema):
    removed = Integer(required=True)
    files = Integer(required=True)
    freed = Integer(required=True)
    waiting = Integer(required=True)


class Fault(Schema):
    path = String(required=True)
    message = String(required=True)


class Report(Schema):
    files = Integer(required=True)
    faults = List(Nested(Fault), required=True)


class UploadOrder(Schema):
    channel = String(required=True, validate=_CHANNEL)
    target = String(load_default="", validate=Length(max=100))
    name = String(
        required=True,
        validate=Length(min=1, max=401),
        metadata={"description": "The file's name, after at most one folder."},
    )
    size = Integer(required=True, validate=_COUNT)
    sha256 = String(required=True, validate=Regexp(r"^[0-9a-f]{64}$"))


class Upload(UploadOrder):
    id = String(required=True)
    received = Integer(required=True, metadata={"description": "Go on at this offset."})


class OffsetQuery(Schema):
    offset = Integer(load_default=0, validate=_COUNT)


class CompleteOrder(Schema):
    uploads = List(String(validate=Regexp(r"^[0-9a-f]{32}$")), required=True,
                   validate=Length(min=1, max=1000))  # fmt: skip


class Added(Schema):
    channel = String(required=True)
    target = String(required=True)
    name = String(required=True)
    version = String(required=True)
    architecture = String(required=True)
    sha256 = String(required=True)
    new = Boolean(required=True)


class Completed(Schema):
    generation = Integer(required=True)
    added = List(Nested(Added), required=True)


class Delivered(Schema):
    name = String(required=True)
    size = Integer(required=True)
    generation = Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Where it was a .changes: the generation that shows all."},
    )
