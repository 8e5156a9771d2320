"""The files that the sandbox's tasks make: a real picture or clip, unlike that of any other task.

`TEXT2IMAGE` gives a PNG in colours of its own, `CATVTON` a JPEG with the task's id as a comment,
`IMAGE2VIDEO` an MP4 with the id in a box behind the clip, any other workflow a PNG.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

_CELLS, _CELL_PX = 8, 12


class File(NamedTuple):
    """What a task made."""

    content: bytes
    extension: str
    content_type: str


def file_of(workflow: str, task_id: str) -> File:
    """The file of this task: always the same, byte by byte."""
    return _MAKERS.get(workflow, _png)(task_id)


def _png(task_id: str) -> File:
    side = _CELLS * _CELL_PX
    colours = hashlib.shake_256(task_id.encode()).digest(_CELLS * _CELLS * 3)
    rows = bytearray()
    for top in range(0, len(colours), _CELLS * 3):
        cells = (colours[at : at + 3] for at in range(top, top + _CELLS * 3, 3))
        rows += (b"\0" + b"".join(cell * _CELL_PX for cell in cells)) * _CELL_PX
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    comment = b"Comment\0\0\0\0\0" + task_id.encode()
    chunks = ((b"IHDR", head), (b"iTXt", comment), (b"IDAT", zlib.compress(bytes(rows), 1)), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)
    return File(content, "png", "image/png")


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _jpeg(task_id: str) -> File:
    comment = task_id.encode()
    segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    return File(_PHOTO[:2] + segment + _PHOTO[2:], "jpg", "image/jpeg")


def _mp4(task_id: str) -> File:
    data = task_id.encode()
    box = struct.pack(">I4s", len(data) + 8, b"free") + data
    return File(_CLIP + box, "mp4", "video/mp4")


_MAKERS: Final[Mapping[str, Callable[[str], File]]] = {"CATVTON": _jpeg, "IMAGE2VIDEO": _mp4}

_PHOTO: Final = zlib.decompress(
    base64.b64decode(
        "eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZmBl5OLm4uDl5uLm4+Pl19YQVRYSEhYXUZOXEFP09BAT1NXx9jKy87YzM1cR9ch3NHN"
        "xy8oOMjILioxKiDBKzDIH2QIIx8fn7CgsJqoqJq/qa6pP8ng/wEGQQ6GBIYEZkYlBiZBRmZBxv9HGKSATgUDBjhgYmNlZgfJaQsw"
        "MDED5dnYgBQECDIyMbMIsbIJGzoGKiolFjZOFDEy3ngRZBDQCGYUcxiYWVgZmdiAcgqCDExAwIwky8gkyCzEwqpo6Lhw4/9bDDzM"
        "jEA3MQsy2DM8XtDlKO+8cbYLkOZtFWrSZDET8eJYInAjUENpgnMiRFgMKBx+Y1Kno0j/rUvXt4RNnR11aZGSzJneVoEmk79z7+5y"
        "qZi70Dbsy7ltP9wPX6v9d+/e8nI5Owl7ZpnPrz6/WOP8V3Lm7pyCUtbtHzby6cyf/uDnLY5fejue7k3aneqrLXT1tTD/p8Lf7rt3"
        "5Aov50xec/7rzJ/q99/+2yfnPid2n+WuWesvb3p0sqosZYL7uhsv266dzvLVjwwWcjIVuRzWdQXoWMG7UBd+d1nseXfe+a5Llbfq"
        "s62ec9kJvravt/j7e+aV/IqfFTI5G1+9+vBSNNOU49ybzTseB8R7y1Soa9fzBzA2xTIw8NlX7BA8+chfaf7TQ2o1i5+tX//6/Pd3"
        "KRe/ODOfOH7gyev+8PD2ytWeK93uR87dsSf/+aL5anJl7l1A61dujOpyFGlSANlf3Tf1tlR2xIy1r8Xany3jUTK5e//ZsT31j+6l"
        "lZySrdv6+6/9w/k3HM9xeT9MZl7unsCQPK2BgSHRMsrtzt6ta3zCvm9d+HPl5NDbNjceFTzbOrO3tHOt+PI9+09Oclsfyy7y7N/U"
        "nXy3QHEiVS26Yough9K+I1O89HX1+7Ze1/bNjyw0qFNonvojqVeffduGJ+7+Stl98yN/pj98//KnVZuk3MzcbfoHr/3cbzfbx6jN"
        "TyZ6xy61vrC9s4Pnn3ubZy+ktnXG9YipFyM//T6/cPbl2q/r/XZnVh3Zmu1z8EmLRaDfkzevz/wTP/Uk+/S9slvnLj+Vmyh3oVJp"
        "guuTSyEdtpOAwV+e6Ap0mEBO9aIAV4W2Q8DE0iTNpcoSxJGjMUXQQ3EDRLj//00A+Wx4pg=="
    )
)
"""A JPEG of 96 x 96 pixels."""

_CLIP: Final = zlib.decompress(
    base64.b64decode(
        "eNqNVAtUFOcVngUNq6BiQyNFxd9HQzWwzCzrKoSpIoirQENygBhf6+zMLDthZmd2ZoAFaXglqTGQismBKJE0D1/EaIMmWj0Q8UHE"
        "ajnVGE2IEWNMBBLUiqBJcHtngbqxaU7nzP3v4//uvf/9753BMAzZ1QKJU0QBw/wwjQMZqTyaECQTgWH+bkEU8zAM44U8B4P95PG/"
        "6iUdpr33Ht1PUffr87FffPzg/UiVqRyQV6g53pz+/x1Ny/3LeX427+ohwrAZLKMqwCexvKLe89DiBg/5+s0TGI4CAQnM/bXP91Lm"
        "Ua8S5WB4eXgnj2NYX2QW6KKFcjI8q2F0XQLntIMQkid4g/oecwYzuDeJkVm7TxlBuTKPBmVdvaLaeJAPK6rC+GAatKb9j6vQil6N"
        "WYBbhhFBqYBHPGdzG82mn2tEqMcD61xAJeoYLNBzCQvLBr5THpFsPpSkNWWEtsyPT986vkSHBTiuJpaaGiIHbt/WvIMlSpGGTqJR"
        "iE2Vh645arh1oYrqbcHwifXeF7BQma9do3T6HlY/aAse2g8d4vr/U/f6TYIc9H05huJiJtgr9LkJsI/YAzwWaDzQYqAHgX4PNAbo"
        "N4NnpkWfMdoOnMxlVG18Zgusl2vPVN9RgfGSKUnifa9dzw3Oo94uszBHI48JDAW63xsPjPR4Nn++sLPx608t+6ojz6NPp/dc05qH"
        "ohAtyiwizLNBtBjAFJ2WvnBRlAklZCXCHsPSsJEoSgU8a1eREcdjooy4UUM7VFWKi47Oz883aHMr8pTTIMrZ0Vpcg0MVeMCIksqJ"
        "TiUO0ZSNokkCwWyShBkxrI0X6RySiMPjcEQ5Kb5AYUncHROHu4mYGCSwZK7gQEquDSQCR5JSAM6wWmWGJAw4eMGCBM7NMlZvTHCx"
        "ypQzmyWNJkQ7ZFGgrJovUmWW5zmFNKK57rkMrYKJdgkkDmegmELRCQ5EJEEgO6WoVknJ4SQNMRjAJVlFu11hVTLKiFSHDB4KGYN4"
        "UcyhHKBYh20EUniOZu8ZcOSUvTloTqBU7RycU2VlngIQ2G18rkwVWGlRkCgVdBouCX5cnBNCAFCmNIxdpgRWIecim1UqAJljoAib"
        "lWIoSfVKNo7SMsEksFBXDMpnuWyHaoNkosQ6rdmiBLuDRgkcctgCiE0aZ+NDohV+JxBeoVknS+eqpAlH3uTajcqs4gBvmbb+p1rS"
        "rOkkLduRAJ8kq1UFCmmabcCRS6uFxA2AcUlaXC+n3KQ5FgRFZSXShDgJegQTAS2EXJQL+q81EyuBIR3Nri3Fih9bljn9D50vb9dX"
        "fjEhcoFx2oceD7Eu7Ergt23ff7UVrwywLHt+zl3HGuyHA1+Oa/zb7o9Yz7mnT76h1J39XXd3Xf+ZlfwL9ScGiLJjDbqUgX1Bhu6B"
        "CRVdfd1V2EFH7Yr1aEdn0PnkPc5/Lt44p6LjeFrhQy2Vs0KtlsCpl39r/nNhuO3wmFueg11m4rtaznj05v47/Y8mPTf2RMWU2gRp"
        "nuf8u1NHu5K2H/+iNLPkLfN35fiEkCq6w7GdqI6vufnqyZee7c2sCv9qeUHEhCO9ljK/lvXHtnRGVqRtSLqhL0puGvf6J6eWL8ls"
        "75r6zRH1bnbc8onht9I72187+spn7l+1fnCoNsmw8eON11Jf3bJM/kdQXF+Wf2df5ub4lHL/Gc1NTd2LQ+svRxz+IaOnd+mFx5re"
        "fzj8mUOW9vV/fLxmYU+PK/00dWFbK2o+snw/M88d1hd24Myx3VSGpzwo+TXXqiljW63ui7HShaeKYw83Tyt/ctXl2LIrG7p2XY14"
        "cXx7yIMhwt6j4eUH1pycebNuAd++csfqmWVPYtdv4Cl36kPuqmcbv0zNoUav7NqWd2pHi5M/96+Wivd2bSxkmvZn35D2l6tZ64oe"
        "Ty3aKzlfGWt7xvXAmLo9Yz+bf6VkaXzx18ntGRM7jrRV3Qj0k7MvsZ9/+OaCxo7JF02vh5bWxDPVDR+MrDqLZzEJzdXLepvXHnQS"
        "Ke92v3TxkvbfS9ikT1vnad7RXn3O0hHx8KpvH9n5RP8UOa1h1Nbe0e9seDaj0sDqgwee6/pkcmt60eSPv79dsy1A+6nq6oIjps/7"
        "e0qdY86KUjAsTNgU/OJ1xJygIv7k6j+T2ddmNV6b3Kk/XVr5VuiSulurnn9habHuneRbIRf/+uPuv6Rd0S1qbFrjdgfcebTnzSUZ"
        "ax/aV7PTPgsCjdPVhbKWthbp5KhdK1ryE8AUl7AptDVeH566dcSi3BbHj0Xf1M7aeTowJmrg7eOJrjLWXXG3z7Z5IPFpoizguvtC"
        "Respdu+asEnTzGG54D1KV4e2HG+rn/geKL9O2IQ6i/RTXp5Zklz81LiE6Eulxv7SfwMIvtqS"
    )
)
"""A second of H.264 in an MP4, 96 x 96 pixels, 8 pictures."""
