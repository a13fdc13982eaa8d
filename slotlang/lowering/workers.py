# Work split over forked processes: a part of every emitted module.
# ruff: noqa: F403, F405

from slotlang.lowering.runtime import *

# workers starts here
# TenSEAL keeps Python's lock while it computes, so threads gain nothing. Forked processes share what is in memory.


class WorkerFailed(RuntimeError):
    """A worker process ended before its work was done, or could not start; the message says how."""


def forked(action, items, workers, done):
    """``action(item)`` of each item, in order, by so many forked processes; the next item goes to the first one free.

    Returns the results and each worker's seconds of CPU; ``done`` is called with the number of results so far. What
    ``action`` rejects is Rejected here. However this ends, no worker is left.
    """
    try:
        fork = multiprocessing.get_context("fork")
    except ValueError:
        raise WorkerFailed("this system can't fork processes: use one worker") from None
    results, seconds, waiting, running, at = [None] * len(items), {}, iter(range(len(items))), {}, {}
    try:
        for _ in range(min(workers, len(items))):
            ours, theirs = fork.Pipe()
            process = fork.Process(target=_work, args=(theirs, [ours, *running], action, items), daemon=True)
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
        for pipe in running:
            _ask(pipe, waiting, at)
        count = 0
        while at:
            for pipe in multiprocessing.connection.wait(list(at)):
                try:
                    found, refused, failed, seconds[pipe] = pipe.recv()
                except (EOFError, OSError):
                    raise WorkerFailed(_ended(running[pipe], at[pipe], len(items))) from None
                if refused is not None:
                    raise Rejected(refused)
                if failed is not None:
                    raise WorkerFailed(f"a worker failed at item {at[pipe] + 1} of {len(items)}: {failed}")
                results[at.pop(pipe)] = found
                count += 1
                done(count)
                _ask(pipe, waiting, at)
        return results, list(seconds.values())
    finally:
        for pipe, process in running.items():
            process.kill()
            process.join()
            process.close()
            pipe.close()


def _ask(pipe, waiting, at):
    number = next(waiting, None)
    if number is not None:
        at[pipe] = number
        # to a worker that has ended nothing can be sent; reading from it says so
        with suppress(OSError):
            pipe.send(number)


def _ended(process, number, count):
    process.join(1)
    code = process.exitcode
    how = "closed its pipe" if code is None else f"ended with status {code}"
    if code is not None and code < 0:
        how = f"was ended by signal {-code}{' (out of memory?)' if -code == signal.SIGKILL else ''}"
    return f"a worker {how} at item {number + 1} of {count}"


def _work(pipe, others, action, items):
    # the ends that the first process keeps: while a worker held them, the others would not see that it is gone
    for other in others:
        other.close()
    with suppress(EOFError, OSError):
        while True:
            item = items[pipe.recv()]
            found = refused = failed = None
            try:
                found = action(item)
            except Rejected as problem:
                refused = str(problem)
            except Exception as problem:
                failed = f"{type(problem).__name__}: {problem}"
            pipe.send((found, refused, failed, time.process_time()))
