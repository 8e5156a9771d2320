"""Queue a job from a Django view, once its product is committed: `python examples/django_producer.py 8000`.

One file, to be read; in a project of yours only the view and `queue_picture` remain. A broker that is away
must not fail the order of a customer: the product stays marked, and a command of yours queues it later under the
same dedupe key, which is one purchase however often it is queued.
"""

import sys

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from aigc import BrokerUnavailable, InvalidPayload, TextToImage, submit

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="an example", USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:shop?mode=memory&cache=shared"}},
)  # fmt: skip
django.setup()
