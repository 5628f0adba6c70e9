# SPDX-License-Identifier: ISC
"""explain ioctl, struct and constant: the interface of /dev/vmm."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gen.load import Map
from gen.model.ioctls import Constant, Enum, Ioctl, Member, Struct, flat
from gen.text import plain
from gen.tool.article import Article, Part, part, table
from gen.tool.tables import Entry, Tables, place

_DIRECTION = {True: "in and out", False: "in"}


def entries(tables: Tables) -> Iterator[Entry]:
    rows = tables.rows("ioctls", "ioctls", "name")
    for item in tables.ioctls.ioctls:
        yield Entry("ioctl", item.name, item.doc, partial(_ioctl, tables, item, rows[item.name]),
                    (item.name.removeprefix("VMM_IOC_"),), (item.number, item.request),
                    row=rows[item.name])
    for row in tables.spec.doc("ioctls")["errors"]:
        yield Entry("ioctl", f"error.{row['errno']}", row["doc"], partial(_error, row), row=row)
    for index, text in enumerate(tables.ioctls.differences, 1):
        yield Entry("ioctl", f"difference.{index}", plain(text),
                    partial(_difference, index, text))


def struct_entries(tables: Tables) -> Iterator[Entry]:
    rows = tables.rows("ioctls", "structs", "name")
    for struct in tables.ioctls.structs:
        yield Entry("struct", struct.name, struct.doc,
                    partial(_struct, tables, struct, rows[struct.name]), row=rows[struct.name])
        nodes = {node["name"]: node for item in rows[struct.name]["members"]
                 for node in item.get("union", (item,))}
        for member in struct.fields():
            yield Entry("struct", f"{struct.name}.{member.name}", plain(member.doc),
                        partial(_member, struct, member, nodes[member.name]), (member.name,),
                        row=nodes[member.name])


def constant_entries(tables: Tables) -> Iterator[Entry]:
    for name, row in tables.rows("ioctls", "constants", "name").items():
        item = next(item for item in tables.ioctls.constants if item.name == name)
        yield Entry("constant", name, plain(item.doc), partial(_constant, item, None, row),
                    row=row)
    rows = tables.rows("ioctls", "enums", "name")
    for enum in tables.ioctls.enums:
        node = rows.get(enum.name)
        yield Entry("constant", enum.name, plain(enum.doc), partial(_enum, enum, node), row=node)
        values = {} if node is None else {value["name"]: value for value in node["values"]}
        for item in enum.values:
            yield Entry("constant", item.name, plain(item.doc),
                        partial(_constant, item, enum, values.get(item.name)),
                        row=values.get(item.name))


def _ioctl(tables: Tables, item: Ioctl, row: Map) -> Article:
    parts: list[Part] = []
    parts += part("argument", f"struct {item.struct.name}, {item.struct.size} bytes, copied "
                              f"{_DIRECTION[item.out]}")
    parts += _members(item.struct.members)
    parts += part("behaviour", *(plain(text) for text in item.text))
    parts += table("refused with", ("errno", "when"), (
        (check.errno, plain(check.doc)) for check in flat(item.checks)))
    parts += table("errors", ("errno", "when"), ((node["errno"], plain(node["doc"]))
                                                 for node in row["errors"]))
    parts += table("and of all", ("errno", "when"), (
        (error.errno, plain(doc)) for error in tables.ioctls.errors for doc in error.docs))
    parts += part("done by", f"vmm_ioctl_{item.handler}() in src/core")
    parts += part("vCPU", item.vcpu if item.vcpu != "none" else "")
    if item.extension:
        parts += part("extension", "OpenBSD's vmm(4) does not have it.")
    parts += part("manual", "vmm(4)")
    parts += part("spec", place(row))
    title = f"{item.name}: request {item.request:#x}, number {item.number}"
    return Article("ioctl", item.name, title, plain(item.doc), tuple(parts))


def _members(members: tuple[Member, ...]) -> tuple[Part, ...]:
    return table("members", ("offset", "type", "name", "meaning"), (
        (str(member.offset), member.c_type, member.c_name, _about(member)) for member in members))


def _about(member: Member) -> str:
    if member.alternatives:
        return plain(member.doc) + " One of: " + "; ".join(
            f"{item.c_type} {item.name}" for item in member.alternatives)
    text = plain(member.doc)
    if member.enum is not None:
        text += f" Values: {member.enum.name}."
    if member.out:
        text += " An answer."
    return text + (" An extension." if member.extension else "")


def _struct(tables: Tables, struct: Struct, row: Map) -> Article:
    users = [item.name for item in tables.ioctls.ioctls if item.struct is struct]
    users += [f"struct {other.name}" for other in tables.ioctls.structs
              if any(member.struct == struct.name for member in other.fields())]
    return Article("struct", struct.name, f"struct {struct.name}, {struct.size} bytes",
                   plain(struct.doc), (
                       *_members(struct.members), *part("used by", ", ".join(users)),
                       *part("spec", place(row))))


def _member(struct: Struct, member: Member, row: Map) -> Article:
    return Article("struct", f"{struct.name}.{member.name}",
                   f"{member.c_type} {member.c_name} of struct {struct.name}",
                   plain(member.doc), (
                       *part("offset", f"{member.offset}, {member.size} bytes"),
                       *part("direction", "an answer of the driver's" if member.out else ""),
                       *part("values", *_values(member.enum)),
                       *part("extension", "a hole in OpenBSD's vmm(4)."
                             if member.extension else ""),
                       *part("spec", place(row))))


def _values(enum: Enum | None) -> Iterator[str]:
    for item in enum.values if enum is not None else ():
        yield f"{item.name} ({item.text}): {plain(item.doc)}"


def _constant(item: Constant, enum: Enum | None, row: Map | None) -> Article:
    of = f"{enum.name}: {plain(enum.doc)}" if enum is not None else ""
    where = "spec/registers.yaml, from the registers" if row is None else place(row)
    return Article("constant", item.name, f"{item.name} = {item.value} ({item.value:#x})",
                   plain(item.doc), (
                       *part("of", of),
                       *part("extension", "OpenBSD's vmm(4) does not have it."
                             if item.extension else ""), *part("spec", where)))


def _enum(enum: Enum, row: Map | None) -> Article:
    kind = "flags" if enum.flags else "values"
    where = "spec/registers.yaml, from the registers" if row is None else place(row)
    return Article("constant", enum.name, f"{enum.name}: {kind}", plain(enum.doc), (
        *part("all", enum.all or ""), *part("values", *_values(enum)), *part("spec", where)))


def _error(row: Map) -> Article:
    return Article("ioctl", f"error.{row['errno']}", f"{row['errno']} from any ioctl",
                   plain(row["doc"]), part("spec", place(row)))


def _difference(index: int, text: str) -> Article:
    return Article("ioctl", f"difference.{index}",
                   f"difference {index} from OpenBSD's vmm(4)", plain(text),
                   part("more", "docs/differences.md"))
