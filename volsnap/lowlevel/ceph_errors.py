"""What Ceph refuses, as errors of ours, and the door every call of its bindings goes through.

Invariant: nothing the bindings raise gets past :func:`translated`. This module loads neither rbd nor rados.
"""

import contextlib
import errno
import functools
import threading
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class CephError(Exception):
    """Ceph refused, with an errno that has no class of its own. The work may have happened."""

    def __init__(self, text: str, code: int = 0) -> None:
        self.code = code
        super().__init__(text)


class NotFound(CephError):
    """The image, snapshot or object is not there (the pool is)."""


class Exists(CephError):
    """Something of that name is there."""


class Busy(CephError):
    """Somebody watches the image, or the snapshot is protected."""


class HasSnapshots(CephError):
    """An image with snapshots (of any namespace) cannot be removed."""


class Full(CephError):
    """Pool quota, store, or a limit on the image."""


class Lost(CephError):
    """No answer, or none in time, or this client was cut off. The work may have happened: ask again."""


BY_ERRNO: dict[int, type[CephError]] = {
    errno.ENOENT: NotFound,
    errno.EEXIST: Exists,
    errno.EBUSY: Busy,
    errno.ENOTEMPTY: HasSnapshots,
    errno.ENOSPC: Full,
    errno.EDQUOT: Full,
    # What a dead or frozen OSD has been seen to produce: Timeout; 74 from create_snap; ReadOnlyImage when the
    # exclusive lock cannot be had; ESHUTDOWN when the client was blocklisted.
    errno.ETIMEDOUT: Lost,
    errno.EBADMSG: Lost,
    errno.EROFS: Lost,
    errno.ESHUTDOWN: Lost,
    errno.ENOTCONN: Lost,
    errno.EINTR: Lost,
    errno.EAGAIN: Lost,
    errno.ECANCELED: Lost,
}


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the bindings raise into a :class:`CephError`; everything else passes."""
    try:
        yield
    except CephError:
        raise
    except Exception as err:
        if type(err).__module__ not in ("rbd", "rados"):
            raise
        code = abs(getattr(err, "errno", 0) or 0)
        raise BY_ERRNO.get(code, CephError)(f"{what}: {err}", code) from err


class Job(threading.local):
    """What this worker thread works for: ``is_given_up`` tells whether its caller still waits."""

    is_given_up: Callable[[], bool] = staticmethod(lambda: False)


#: This thread's; :class:`~volsnap.lowlevel.ceph.Client` sets it.
JOB = Job()


def door(method: Callable[P, T]) -> Callable[P, T]:
    """Name the call in the error: ``create_snapshot snapshot-…: [errno 2] …``.

    A job whose caller has gone ends at the next call. Otherwise it would wake up with the OSD, minutes later, and go
    on with what its caller has decided otherwise since.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        words = [method.__name__, *(each for each in args if isinstance(each, str))]
        with translated(" ".join(words)):
            if JOB.is_given_up():
                raise Lost("given up by its caller")
            return method(*args, **kwargs)

    return call
