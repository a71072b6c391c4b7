import asyncio
import contextlib

from quarterdeck.core.metrics import Metrics


def test_figures_are_read_when_somebody_asks() -> None:
    metrics, sockets = Metrics(), [1.0]
    metrics.add_gauge("quarterdeck_sockets", "Open sockets.", lambda: sockets[0])
    metrics.add_counter("quarterdeck_news_total", "Published news.", lambda: 7)
    sockets[0] = 5
    text = metrics.render().decode()
    assert "# TYPE quarterdeck_sockets gauge\nquarterdeck_sockets 5.0\n" in text
    assert "# TYPE quarterdeck_news_total counter\nquarterdeck_news_total 7.0\n" in text
    assert "process_resident_memory_bytes" in text


async def test_the_lag_of_the_loop_is_sampled() -> None:
    metrics = Metrics()
    watching = asyncio.create_task(metrics.watch_loop())
    async with asyncio.timeout(10):
        while "quarterdeck_loop_lag_seconds_count 0.0" in metrics.render().decode():
            await asyncio.sleep(0.05)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert metrics.lag_seconds >= 0
