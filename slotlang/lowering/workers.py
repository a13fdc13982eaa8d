# Work split over forked processes: a part of every emitted module.
# ruff: noqa: F403, F405

from slotlang.lowering.runtime import *
from slotlang.lowering.transfer import *

# workers starts here
# TenSEAL keeps Python's lock while it computes, so threads gain nothing. Forked processes share what is in memory.


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them


class WorkerFailed(RuntimeError):
    """A worker process ended before its work was done, or could not start; the message says how."""


def forked(action, items, workers, done):
    """``action(item)`` of each item, in order, by so many forked processes; the next item goes to the first one free.

    ``action`` gives bytes and something small beside them. Returns these pairs and each worker's seconds of CPU;
    ``done`` is called with the number of results so far. What ``action`` rejects is Rejected here. However this ends,
    no worker is left.
    """
    try:
        fork = multiprocessing.get_context("fork")
    except ValueError:
        raise WorkerFailed("this system can't fork processes: use one worker") from None
    results, seconds, waiting, running, at, files = [None] * len(items), {}, iter(range(len(items))), {}, {}, {}
    with ExitStack() as opened:
        opened.callback(_end, running)
        for _ in range(min(workers, len(items))):
            ours, theirs = fork.Pipe()
            # two, so that a worker fills one while the other is read
            files[ours] = [opened.enter_context(_file())[0] for _ in range(2)]
            arguments = (theirs, [ours, *running], files[ours], action, items)
            process = fork.Process(target=_work, args=arguments, daemon=True)
            # Ctrl-C reaches workers too; they inherit that it is blocked, and the process that was started ends them
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                process.start()
                running[ours], seconds[ours] = process, 0.0
            except OSError as problem:
                raise WorkerFailed(f"worker {len(running) + 1} can't start: {problem.strerror}") from None
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
            _ask(ours, waiting, at)
        count = 0
        while at:
            for pipe in multiprocessing.connection.wait(list(at)):
                try:
                    size, beside, refused, failed, seconds[pipe] = pipe.recv()
                except (EOFError, OSError):
                    raise WorkerFailed(_ended(running[pipe], at[pipe], len(items))) from None
                if refused is not None:
                    raise Rejected(refused)
                if failed is not None:
                    raise WorkerFailed(f"a worker failed at item {at[pipe] + 1} of {len(items)}: {failed}")
                number, (file, *others) = at.pop(pipe), files[pipe]
                files[pipe] = [*others, file]
                _ask(pipe, waiting, at)
                # a reader of its own: the file's may hold what an earlier result left in its buffer
                with open(file.fileno(), "rb", closefd=False) as reader:
                    reader.seek(0)
                    results[number] = reader.read(size), beside
                count += 1
                done(count)
        return results, list(seconds.values())


def _ask(pipe, waiting, at):
    """Give a worker its next item, or tell it that there is none: it ends while others still work."""
    number = next(waiting, None)
    # to a worker that has ended nothing can be sent; reading from it says so
    with suppress(OSError):
        pipe.send(number)
    if number is not None:
        at[pipe] = number


def _end(running):
    for process in running.values():
        process.kill()
    for pipe, process in running.items():
        process.join()
        process.close()
        pipe.close()


def _ended(process, number, count):
    process.join(1)
    code = process.exitcode
    how = "closed its pipe" if code is None else f"ended with status {code}"
    if code is not None and code < 0:
        how = f"was ended by signal {-code}{' (out of memory?)' if -code == signal.SIGKILL else ''}"
    return f"a worker {how} at item {number + 1} of {count}"


def _work(pipe, others, files, action, items):
    # the ends that the first process keeps: while a worker held them, the others would not see that it is gone
    for other in others:
        other.close()
    _keep_memory()
    with suppress(EOFError, OSError):
        while (number := pipe.recv()) is not None:
            data, beside, refused, failed = b"", None, None, None
            try:
                data, beside = action(items[number])
            except Rejected as problem:
                refused = str(problem)
            except Exception as problem:
                failed = f"{type(problem).__name__}: {problem}"
            files[0].seek(0)
            files[0].write(data)
            files[0].flush()
            files.reverse()
            pipe.send((len(data), beside, refused, failed, time.process_time()))


def _keep_memory():
    """Have the C library keep what is freed, as the next evaluation asks for it again and new memory costs time; and
    leave alone what is shared, which looking for garbage would copy."""
    gc.freeze()
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, size in ((_TRIM_THRESHOLD, 1 << 30), (_MMAP_THRESHOLD, 1 << 25)):
            mallopt(option, size)
