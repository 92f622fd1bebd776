"""What only RBD has: bursts on shared images, trash, clone depth, a store that freezes, clients that die.

On a cluster of its own, because its daemons are frozen and killed here.
"""

import concurrent.futures
import contextlib
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers import conftest, scenario
from volsnap.volume.drivers import base

if TYPE_CHECKING:
    from tests.drivers.rbd_backend import RbdBackend

pytestmark = pytest.mark.rbd

TIB = 1 << 40
THREADS = 16
BURST = 200


@pytest.fixture(scope="module")
def rbd_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator["RbdBackend"]:
    if "rbd" in conftest._words("VOLSNAP_SKIP", ""):
        pytest.skip("VOLSNAP_SKIP names rbd")
    if "rbd" not in conftest._words("VOLSNAP_TEST_BACKENDS", "file,rbd"):
        pytest.skip("VOLSNAP_TEST_BACKENDS does not name rbd")
    from tests.drivers import rbd_backend

    with rbd_backend.open_backend("rbd", tmp_path_factory.mktemp("rbd-only")) as opened:
        assert isinstance(opened, rbd_backend.RbdBackend)
        yield opened


@pytest.fixture
def backend(rbd_storage: "RbdBackend") -> Iterator["RbdBackend"]:
    rbd_storage.reset()
    yield rbd_storage
    rbd_storage.reset()


def _driver(backend: "RbdBackend", **changes: Any) -> contextlib.closing[base.Driver]:
    from volsnap.volume.drivers.rbd import RbdDriver

    return contextlib.closing(RbdDriver(backend.settings(**changes)))


def _each(work: Callable[[Any], object], items: list[Any]) -> None:
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(work, item) for item in items]:
            future.result(120)


# ------------------------------------------------------------------------------------------ bursts


@pytest.mark.parametrize("images", [1, 50])
def test_burst_of_creates_and_deletes(backend: "RbdBackend", images: int) -> None:
    """200 creates, then 200 deletes, from 16 threads: all there, all gone, nobody crashed."""
    volumes = [scenario.volume_ref(backend) for _ in range(images)]
    _each(backend.driver.create_volume, volumes)
    snapshots = [scenario.snapshot_ref(volumes[number % images]) for number in range(BURST)]
    _each(backend.driver.create_snapshot, snapshots)
    listed = {item.snapshot_id for item in backend.driver.inventory() if item.is_snapshot}
    assert listed == {snapshot.id for snapshot in snapshots}
    random.Random(5).shuffle(snapshots)
    _each(backend.driver.delete_snapshot, snapshots)
    assert [item for item in backend.driver.inventory() if item.is_snapshot] == []
    _each(backend.driver.delete_volume, volumes)
    assert backend.object_names() == set()


def test_creates_and_deletes_at_once(backend: "RbdBackend") -> None:
    """Each thread cuts and deletes at once on a few shared images, handles opening and closing all the time."""
    volumes = [scenario.new_volume(backend) for _ in range(4)]

    def work(number: int) -> None:
        snapshot = scenario.snapshot_ref(volumes[number % 4])
        backend.driver.create_snapshot(snapshot)
        assert backend.driver.find_snapshot(snapshot) is not None
        backend.driver.delete_snapshot(snapshot)
        assert backend.driver.find_snapshot(snapshot) is None

    _each(work, list(range(100)))
    assert len(backend.object_names()) == 4


# ----------------------------------------------------------------------------------- frozen, killed


def test_frozen_osd(backend: "RbdBackend") -> None:
    """1. The OSD stands still: every call says Unavailable inside the deadline.

    2. It goes on: the same driver works, and no call that was given up has gone on with its later steps.
    """
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    cut, new = scenario.snapshot_ref(volume), scenario.volume_ref(backend)
    calls: list[Callable[[], object]] = [
        lambda: backend.driver.find_volume(volume.id),
        lambda: backend.driver.create_snapshot(cut),
        lambda: backend.driver.create_volume_from_snapshot(snapshot, new),
        lambda: backend.driver.delete_volume(scenario.resized(volume, 1)),
        lambda: list(backend.driver.inventory()),
        backend.driver.maintain,
    ]
    with backend.cluster.frozen():
        started = time.monotonic()

        def call_it(call: Callable[[], object]) -> None:
            with pytest.raises(base.Unavailable):
                call()

        _each(call_it, calls)
        assert time.monotonic() - started < backend.deadline_s + 2
    assert backend.driver.find_volume(volume.id) is not None
    scenario.assert_snapshot_fact(backend.driver.create_snapshot(cut), cut)
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    assert backend.driver.find_volume(new.id) is None
    backend.driver.create_volume_from_snapshot(snapshot, new)
    scenario.assert_volume(backend, new, "v1")


def test_frozen_in_the_middle_of_a_burst(backend: "RbdBackend") -> None:
    """1. Cuts are under way when the OSD freezes. 2. It goes on, each call is repeated: all are there."""
    volumes = [scenario.new_volume(backend) for _ in range(3)]
    snapshots = [scenario.snapshot_ref(volumes[number % 3]) for number in range(60)]

    def cut(snapshot: base.SnapshotRef) -> None:
        with contextlib.suppress(base.Unavailable):
            backend.driver.create_snapshot(snapshot)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        started = time.monotonic()
        cuts = [pool.submit(cut, snapshot) for snapshot in snapshots]
        time.sleep(0.3)
        with backend.cluster.frozen():
            time.sleep(backend.deadline_s + 1)
        for future in cuts:
            future.result(60)
    assert time.monotonic() - started < 40
    _each(backend.driver.create_snapshot, snapshots)
    listed = {item.snapshot_id for item in backend.driver.inventory() if item.is_snapshot}
    assert listed == {snapshot.id for snapshot in snapshots}
    _each(backend.driver.delete_snapshot, snapshots)


_CHILD = """
import sys, threading
from volsnap.volume.drivers import base, rbd
conf, what, volume_id, *ids = sys.argv[1:]
driver = rbd.RbdDriver(rbd.RbdSettings("volumes", rbd_ceph_conf=conf, rbd_deadline_s=8))
volume = base.VolumeRef(volume_id, 32 << 20)
driver.find_volume(volume_id)
print("ready", flush=True)
sys.stdin.readline()
if what == "stuck":
    def ask():
        try:
            driver.find_volume(volume_id)
        except base.Unavailable:
            print("unavailable", flush=True)
    threading.Thread(target=ask, daemon=True).start()
    threading.Event().wait(1)
for each in ids:
    driver.create_snapshot(base.SnapshotRef(each, volume, volume.size_bytes))
    print(each, flush=True)
"""


@contextlib.contextmanager
def _child(backend: "RbdBackend", what: str, *ids: str) -> Iterator["subprocess.Popen[str]"]:
    argv = [sys.executable, "-c", _CHILD, str(backend.cluster.conf), what, *ids]
    with subprocess.Popen(argv, stdin=-1, stdout=-1, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def _go(child: "subprocess.Popen[str]") -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


@pytest.mark.parametrize("delay_ms", [2, 12, 25, 40])
def test_killed_in_the_middle_of_a_cut(backend: "RbdBackend", delay_ms: int) -> None:
    """A process is killed while it cuts; the cut is repeated here: exactly one, and the image is sound.

    The dead client keeps its exclusive lock until its watch times out (5 s in this cluster).
    """
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.snapshot_ref(volume)
    with _child(backend, "cut", volume.id, snapshot.id) as child:
        _go(child)
        time.sleep(delay_ms / 1000)
        child.send_signal(signal.SIGKILL)
        child.wait()
    fact = _until_it_answers(lambda: backend.driver.create_snapshot(snapshot))
    scenario.assert_snapshot_fact(fact, snapshot)
    assert len([name for name in backend.object_names() if "@" in name]) == 1
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    backend.driver.delete_snapshot(snapshot)


def test_a_cut_without_its_object_map_is_made_again(backend: "RbdBackend") -> None:
    """What a client killed between the two steps of a cut leaves: listed, and not to be opened. Repeated: whole."""
    import rbd

    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    with rbd.Image(backend.ioctx, base.volume_name(volume.id)) as image:
        (found,) = image.list_snaps()
        backend.ioctx.remove_object(f"rbd_object_map.{image.id()}.{found['id']:016x}")
    with pytest.raises(base.NotFound), backend.driver.open_snapshot(snapshot):
        raise AssertionError("it is whole, and this test proves nothing")
    fact = backend.driver.create_snapshot(snapshot)
    scenario.assert_snapshot_fact(fact, snapshot)
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    assert len([name for name in backend.object_names() if "@" in name]) == 1


def _until_it_answers(call: Callable[[], base.SnapshotFact]) -> base.SnapshotFact:
    """What callers do while the lock of a dead client is not free inside the deadline: repeat, for a minute at most."""
    until = time.monotonic() + 60
    while True:
        try:
            return call()
        except base.Unavailable:
            if time.monotonic() > until:
                raise


def test_exit_with_a_call_that_is_stuck(backend: "RbdBackend") -> None:
    """A process ends while librbd waits for a frozen OSD, and without close(): no hang, no signal."""
    volume = scenario.new_volume(backend)
    with _child(backend, "stuck", volume.id) as child, backend.cluster.frozen():
        _go(child)
        assert child.wait(15) == 0


# ---------------------------------------------------------------------------------------- trash


def test_a_deleted_volume_with_a_clone_waits_in_the_trash(backend: "RbdBackend") -> None:
    """1. Volume → snapshot → clone; delete snapshot and volume: the volume is in the trash, the clone has its bytes.

    2. Inventory shows neither as ours. 3. The clone goes, maintain purges: nothing is left.
    """
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    clone = scenario.volume_ref(backend)
    backend.driver.create_volume_from_snapshot(snapshot, clone)
    backend.driver.delete_snapshot(snapshot)
    assert backend.driver.find_snapshot(snapshot) is None
    assert [item.is_snapshot for item in backend.driver.inventory()] == [False, False]
    backend.driver.delete_volume(volume)
    assert backend.driver.find_volume(volume.id) is None
    assert f"trash:{base.volume_name(volume.id)}" in backend.object_names()
    assert [item.volume_id for item in backend.driver.inventory()] == [clone.id]
    backend.driver.maintain()
    scenario.assert_volume(backend, clone, "v1")
    backend.driver.delete_volume(clone)
    backend.driver.maintain()
    assert backend.object_names() == set()


def test_purge_after_a_restart(backend: "RbdBackend") -> None:
    """What waits in the trash is known from the storage alone; what an administrator put there stays."""
    source, keep = scenario.new_volume(backend, "v1"), scenario.new_volume(backend, "mine")
    clone = scenario.volume_ref(backend)
    backend.driver.clone_volume(source, clone)
    backend.driver.delete_volume(source)
    backend._rbd.trash_move(backend.ioctx, base.volume_name(keep.id))
    backend._rbd.remove(backend.ioctx, base.volume_name(clone.id))
    with backend.fresh_driver_closed() as driver:
        driver.maintain()
        driver.maintain()
    assert backend.object_names() == {f"trash:{base.volume_name(keep.id)}"}


def _wait_in_the_trash(backend: "RbdBackend", number: int) -> dict[str, base.VolumeRef]:
    """Deleted volumes that still have a clone: image id in the order of the trash's listing → the clone."""
    clones = {}
    for _ in range(number):
        source, clone = scenario.new_volume(backend), scenario.volume_ref(backend)
        backend.driver.clone_volume(source, clone)
        backend.driver.delete_volume(source)
        clones[base.volume_name(source.id)] = clone
    return {each["id"]: clones[each["name"]] for each in backend._rbd.trash_list(backend.ioctx)}


def test_the_trash_does_not_starve(backend: "RbdBackend", monkeypatch: pytest.MonkeyPatch) -> None:
    """1. Five volumes wait in the trash, as many as are tried at once and one more; all are due at once again.

    2. The one that is listed last loses its clone: the second round gets to it.
    """
    from volsnap.volume.drivers import rbd_trash

    monkeypatch.setattr(rbd_trash, "RETRY_S", 0.0)
    waiting = _wait_in_the_trash(backend, rbd_trash.PURGES_AT_ONCE + 1)
    last = list(waiting)[-1]
    backend._rbd.remove(backend.ioctx, base.volume_name(waiting[last].id))
    with _driver(backend, rbd_purge_wait_s=20.0) as driver:
        driver.maintain()
        assert len(list(backend._rbd.trash_list(backend.ioctx))) == len(waiting)
        driver.maintain()
    assert last not in {each["id"] for each in backend._rbd.trash_list(backend.ioctx)}
    assert len(list(backend._rbd.trash_list(backend.ioctx))) == len(waiting) - 1


def test_the_trash_backs_off(backend: "RbdBackend", monkeypatch: pytest.MonkeyPatch) -> None:
    """1. What has a clone is tried less and less often. 2. The clone is deleted: its turn comes at once."""
    from volsnap.volume.drivers import rbd_pool, rbd_trash

    (clone,) = _wait_in_the_trash(backend, 1).values()
    tries: list[str] = []
    purge = rbd_pool.purge
    monkeypatch.setattr(rbd_trash, "RETRY_S", 0.1)
    monkeypatch.setattr(rbd_pool, "purge", lambda *args: (tries.append(args[0]), purge(*args))[1])
    with _driver(backend, rbd_purge_wait_s=20.0) as driver:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            driver.maintain()
        assert 3 <= len(tries) <= 5  # at 0, 0.1, 0.3, 0.7 and 1.5 s
        driver.delete_volume(clone)
        driver.maintain()
    assert backend.object_names() == set()


def test_an_attached_volume_is_not_deleted(backend: "RbdBackend") -> None:
    """Somebody has it open: Busy, and it stays."""
    import rbd

    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    with rbd.Image(backend.ioctx, base.volume_name(volume.id)):
        with pytest.raises(base.Busy):
            backend.driver.revert(volume, snapshot)
        backend.driver.delete_snapshot(snapshot)
        with pytest.raises(base.Busy):
            backend.driver.delete_volume(volume)
    scenario.assert_volume(backend, volume, "v1")
    backend.driver.delete_volume(volume)


# -------------------------------------------------------------------------------- limits and clones


def test_clone_depth(backend: "RbdBackend") -> None:
    """A chain of five clones never gets deeper than two, and each has the bytes."""
    import rbd

    volume = scenario.new_volume(backend, "v1")
    with _driver(backend, rbd_max_clone_depth=2) as driver:
        for _ in range(5):
            clone = scenario.volume_ref(backend)
            driver.clone_volume(volume, clone)
            scenario.assert_volume(backend, clone, "v1")
            volume = clone
    depths = []
    for name in backend._rbd.list(backend.ioctx):
        depth, image_id = 0, None
        with rbd.Image(backend.ioctx, name, read_only=True) as image, contextlib.suppress(rbd.ImageNotFound):
            image_id = image.parent_id()
        while image_id:
            depth += 1
            with rbd.Image(backend.ioctx, image_id=image_id, read_only=True) as image:
                image_id = None
                with contextlib.suppress(rbd.ImageNotFound):
                    image_id = image.parent_id()
        depths.append(depth)
    assert sorted(depths) == [0, 0, 1, 1, 2, 2]


def test_a_snapshot_of_a_clone_reads_through_its_parents(backend: "RbdBackend") -> None:
    """Extents name what lies in the parent, too, and the diff names what the clone wrote over it."""
    source = scenario.new_volume(backend, "v1")
    clone = scenario.volume_ref(backend, times=2)
    backend.driver.clone_volume(source, clone)
    first = scenario.new_snapshot(backend, clone)
    scenario.stamp(backend, clone, "v2")
    second = scenario.new_snapshot(backend, clone)
    data = scenario.content(backend.driver, first)
    for offset in scenario.places(source.size_bytes):
        assert data[offset : offset + scenario.PIECE] == scenario.piece("v1", offset)
    target = scenario.content(backend.driver, second)
    patched = bytearray(data)
    for each in backend.driver.diff(first, second):
        part = slice(each.offset, each.offset + each.length)
        patched[part] = bytes(each.length) if each.zero else target[part]
    assert bytes(patched) == target


def test_snapshot_cap(backend: "RbdBackend") -> None:
    """The next one is refused with the option's name; a repeated one is found; one less makes room."""
    volume = scenario.new_volume(backend)
    with _driver(backend, rbd_max_snapshots_per_image=3) as driver:
        snapshots = [scenario.snapshot_ref(volume) for _ in range(4)]
        for snapshot in snapshots[:3]:
            driver.create_snapshot(snapshot)
        with pytest.raises(base.NoSpace, match="rbd_max_snapshots_per_image"):
            driver.create_snapshot(snapshots[3])
        driver.create_snapshot(snapshots[0])
        driver.delete_snapshot(snapshots[0])
        driver.create_snapshot(snapshots[3])


def test_a_clone_that_crashed(backend: "RbdBackend") -> None:
    """Left are the working image and the instant on the source: leftovers, and a repeated clone clears them."""
    source = scenario.new_volume(backend, "v1")
    clone = scenario.volume_ref(backend)
    name, instant = base.volume_name(source.id), f"clone-{clone.id}"
    backend.make_foreign_snapshot(source, instant)
    half = f"{base.volume_name(clone.id)}.new"
    backend._rbd.clone(backend.ioctx, name, instant, backend.ioctx, half)
    assert backend.driver.find_volume(clone.id) is None
    leftovers = [item for item in backend.driver.inventory() if item.leftover]
    assert {item.name for item in leftovers} == {half, instant}
    backend.driver.clone_volume(source, clone)
    scenario.assert_volume(backend, clone, "v1")
    assert not [item for item in backend.driver.inventory() if item.leftover]
    backend.driver.delete_volume(clone)
    backend.make_foreign_snapshot(source, instant)
    backend._rbd.clone(backend.ioctx, name, instant, backend.ioctx, half)
    for item in [item for item in backend.driver.inventory() if item.leftover]:
        backend.driver.discard(item)
    backend.driver.maintain()
    assert backend.object_names() == {name}


def test_the_instant_of_a_clone_belongs_to_the_new_volume(backend: "RbdBackend") -> None:
    """1. inventory names it with the new volume's id, and the source by its name.

    2. Discarding it takes exactly it, also while the source is open elsewhere, and twice; other snapshots stay.
    3. While a call makes that clone it is no leftover: come again. 4. On a foreign image it is not ours.
    """
    import rbd

    source = scenario.new_volume(backend, "v1")
    kept, other, clone = (
        scenario.new_snapshot(backend, source),
        scenario.volume_ref(backend),
        scenario.volume_ref(backend),
    )
    name, instant = base.volume_name(source.id), f"clone-{clone.id}"
    for each in (instant, f"clone-{other.id}", "theirs"):
        backend.make_foreign_snapshot(source, each)
    (found,) = [item for item in backend.driver.inventory() if item.volume_id == clone.id]
    assert found == base.StorageObject(
        instant, source.size_bytes, is_snapshot=True, volume_id=clone.id, origin=name, leftover=True
    )
    with rbd.Image(backend.ioctx, name) as image:
        with backend.driver._alone(clone.id), pytest.raises(base.Unavailable):  # type: ignore[attr-defined]
            backend.driver.discard(found)
        for _ in range(2):
            backend.driver.discard(found)
        image.write(b"still ours", 0)
    left = {name, *(f"{name}@{each}" for each in (base.snapshot_name(kept.id), f"clone-{other.id}", "theirs"))}
    assert backend.object_names() == left
    with pytest.raises(base.Unsupported):
        backend.driver.discard(base.StorageObject(instant, 0, is_snapshot=True, origin="somebodys-disk"))


def test_half_a_clone_that_is_still_open(backend: "RbdBackend") -> None:
    """Its dead maker's watch has not timed out yet: no final Busy for the repeated clone, and then it ends well."""
    import rbd

    source = scenario.new_volume(backend, "v1")
    clone = scenario.volume_ref(backend)
    half = f"{base.volume_name(clone.id)}.new"
    backend._rbd.create(backend.ioctx, half, source.size_bytes, old_format=False)
    with rbd.Image(backend.ioctx, half):
        with pytest.raises(base.Unavailable):
            backend.driver.clone_volume(source, clone)
        with pytest.raises(base.Unavailable):
            backend.driver.discard(base.StorageObject(half, 0, volume_id=clone.id, leftover=True))
    backend.driver.clone_volume(source, clone)
    scenario.assert_volume(backend, clone, "v1")


def test_a_clone_may_copy(backend: "RbdBackend") -> None:
    """One that would get too deep is flattened: it belongs into the lane for long work."""
    assert backend.driver.capabilities.clone_copies


def test_nothing_else_works_on_a_volume_while_it_is_reverted(
    backend: "RbdBackend", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another revert or a delete comes again later, also after the first caller has given up."""
    from volsnap.lowlevel import ceph_image

    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    scenario.stamp(backend, volume, "v2")
    is_in, go_on, rollback = threading.Event(), threading.Event(), ceph_image.Image.rollback

    def slow(image: ceph_image.Image, name: str) -> None:
        is_in.set()
        assert go_on.wait(20)
        rollback(image, name)

    monkeypatch.setattr(ceph_image.Image, "rollback", slow)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reverted = pool.submit(backend.driver.revert, volume, snapshot)
        try:
            assert is_in.wait(20)
            with pytest.raises(base.Unavailable):
                backend.driver.revert(volume, snapshot)
            with pytest.raises(base.Unavailable):
                backend.driver.delete_volume(volume)
        finally:
            go_on.set()
        reverted.result(60)
    scenario.assert_volume(backend, volume, "v1")
    backend.driver.delete_snapshot(snapshot)
    backend.driver.delete_volume(volume)


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("ends_by", ["repeat", "discard"])
def test_a_rename_that_was_killed(backend: "RbdBackend", is_listed: bool, ends_by: str) -> None:
    """librbd's rename stopped before or after it turned the directory's entry: both names open the whole volume.

    A repeated clone ends it, and discarding "the leftover" does not remove the volume.
    """
    source = scenario.new_volume(backend, "v1")
    clone = scenario.volume_ref(backend)
    backend.driver.clone_volume(source, clone)
    name = base.volume_name(clone.id)
    half, kept = f"{name}.new", f"rbd_id.{name}"
    if is_listed:
        backend._rbd.rename(backend.ioctx, name, half)
        kept = f"rbd_id.{half}"
    other = f"rbd_id.{name}" if is_listed else f"rbd_id.{half}"
    backend.ioctx.write_full(other, backend.ioctx.read(kept))
    assert backend.driver.find_volume(clone.id) is not None
    if ends_by == "repeat":
        backend.driver.clone_volume(source, clone)
    else:
        backend.driver.discard(base.StorageObject(half, 0, volume_id=clone.id, leftover=True))
    scenario.assert_volume(backend, clone, "v1")
    listed = {item.name for item in backend.driver.inventory() if not item.is_snapshot}
    assert listed == {name, base.volume_name(source.id)}
    with pytest.raises(Exception, match="errno 2"):
        backend.ioctx.stat(f"rbd_id.{half}")


def test_the_same_clone_from_many_threads(backend: "RbdBackend") -> None:
    """A duplicate delivery: no call removes what another one makes; some are told to come again."""
    source = scenario.new_volume(backend, "v1")
    clone = scenario.volume_ref(backend)

    def make(number: int) -> None:
        with contextlib.suppress(base.Unavailable):
            backend.driver.clone_volume(source, clone)

    _each(make, list(range(THREADS)))
    backend.driver.clone_volume(source, clone)
    scenario.assert_volume(backend, clone, "v1")
    assert not [item for item in backend.driver.inventory() if item.leftover]


def test_large_and_empty(backend: "RbdBackend") -> None:
    """1 TiB with 4 KiB of data: diff and extents take a second or two, not twenty."""
    volume = base.VolumeRef(str(uuid.uuid4()), TIB)
    backend.driver.create_volume(volume)
    older = scenario.new_snapshot(backend, volume)
    backend.write(volume, TIB // 2 + 8192, b"\x77" * 4096)
    newer = scenario.new_snapshot(backend, volume)
    started = time.monotonic()
    changed = list(backend.driver.diff(older, newer))
    assert [(each.offset, each.zero) for each in changed] == [(TIB // 2, False)]
    with backend.driver.open_snapshot(newer) as reader:
        data = [each for each in reader.extents() if not each.zero]
    assert [each.offset for each in data] == [TIB // 2]
    assert time.monotonic() - started < 5


def test_a_repeated_check_lists_nothing(backend: "RbdBackend", monkeypatch: pytest.MonkeyPatch) -> None:
    """1. The first one looks at everything, the next ones only for an OSD. 2. It freezes: Unavailable.

    3. It goes on: the next check is a full one again.
    """
    from volsnap.lowlevel import ceph

    calls: list[str] = []
    names, mon = ceph.Session.image_names, ceph.Session.mon
    monkeypatch.setattr(ceph.Session, "image_names", lambda session: (calls.append("names"), names(session))[1])
    monkeypatch.setattr(ceph.Session, "mon", lambda session, what: (calls.append(what), mon(session, what))[1])
    with _driver(backend, rbd_deadline_s=4.0) as driver:
        for _ in range(3):
            driver.check()
        assert calls == ["names", "osd dump"]
        with backend.cluster.frozen(), pytest.raises(base.Unavailable):
            driver.check()
        driver.check()
        assert calls == ["names", "osd dump"] * 2


# -------------------------------------------------------------------------------- another cluster


def test_an_old_cluster_without_a_manager(tmp_path: pathlib.Path, backend: "RbdBackend") -> None:
    """1. It admits jewel clients: check names the remedy; after it, all is well.

    2. No manager, no numbers: stats says zero, and nothing is refused.
    3. The pool disappears: a volume in it is "unavailable", never "not there".
    """
    from tests.labs import ceph as lab

    options = lab.Options(min_compat_client="jewel")
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(lab.cluster(tmp_path / "old", options))
        driver = stack.enter_context(_driver(backend, rbd_ceph_conf=str(cluster.conf), rbd_pool="vms"))
        with pytest.raises(base.Unavailable, match="set-require-min-compat-client mimic"):
            driver.check()
        cluster.mon("osd set-require-min-compat-client", version="mimic")
        driver.check()
        driver.check()
        assert driver.stats() == base.Stats(0, 0)
        volume = scenario.volume_ref(backend)
        driver.create_volume(volume)
        assert driver.find_volume(volume.id) is not None
        cluster.mon("osd pool delete", pool="vms", pool2="vms", yes_i_really_really_mean_it=True)
        end = time.monotonic() + 20
        with pytest.raises(base.Unavailable):
            while time.monotonic() < end:  # the OSD learns it a moment later
                assert driver.find_volume(volume.id) is not None
        with pytest.raises(base.Unavailable):
            driver.find_volume(volume.id)
        with pytest.raises(base.Unavailable):
            driver.check()


_STARTER = """
import pathlib, sys
from tests.labs import ceph
with ceph.cluster(pathlib.Path(sys.argv[1])) as cluster:
    print(*(cluster.pid(daemon) for daemon in ("mon.a", "osd.0")), flush=True)
    sys.stdin.read()
"""


def _is_alive(pid: str) -> bool:
    """A zombie, which nobody may have waited for yet, is not: its command line is empty."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return bool(pathlib.Path("/proc", pid, "cmdline").read_bytes())
    return False


def test_a_cluster_ends_with_its_starter(tmp_path: pathlib.Path) -> None:
    """A test run is killed: no daemon of its cluster, and nothing of its folder, stays behind."""
    folder = tmp_path / "ceph"
    with subprocess.Popen([sys.executable, "-c", _STARTER, str(folder)], stdin=-1, stdout=-1, text=True) as starter:
        assert starter.stdout is not None
        pids = starter.stdout.readline().split()
        starter.kill()
    assert len(pids) == 2
    end = time.monotonic() + 20
    while folder.exists() or any(_is_alive(pid) for pid in pids):
        assert time.monotonic() < end, "the cluster outlived who started it"
        time.sleep(0.1)


def test_the_import_loads_no_librbd() -> None:
    """Only opening a backend may need Ceph."""
    code = "import sys, volsnap.volume.drivers.rbd; assert not {'rbd', 'rados'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
