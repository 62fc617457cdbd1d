"""The application of the Celery test: what its worker process imports (see packages.py)."""
import os
import time

from celery import Celery

URL = "redis://127.0.0.1:%s/%s" % (os.environ["PORT"], os.environ.get("CELERY_DB", "5"))

app = Celery("tasks", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 3600, "queue_order_strategy": "priority", "priority_steps": list(range(10)), "sep": ":"},
    result_expires=600,
    task_track_started=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
)


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=3)
def flaky(self, succeed_at):
    if self.request.retries < succeed_at:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task(bind=True)
def progress(self, gate):
    self.update_state(state="PROGRESS", meta={"done": 50})
    r = self.app.backend.client
    end = time.monotonic() + 20
    while not r.exists(gate) and time.monotonic() < end:
        time.sleep(0.005)
    return "done"


@app.task
def note(key, value):
    app.backend.client.rpush(key, value)


@app.task(ignore_result=True)
def silent(key):
    app.backend.client.incr(key)
