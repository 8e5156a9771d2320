"""Queue a job from a Django view, once its product is committed: `python examples/django_producer.py 8000`.

A project of yours has its own settings, models and server. The job is queued after the commit: what was
rolled back buys nothing. What could not be queued keeps an empty `job_id`: a command of yours calls
`order_picture` for it; the dedupe key makes one purchase of that, however often it is called.
"""

import sys
from functools import partial
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tasks import BrokerUnavailable, TextToImage, submit

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], DATABASES={"default": SQLITE})
django.setup()


class Product(models.Model):
    """A product of the shop, and the job of its picture."""

    sku = models.CharField(max_length=40, primary_key=True)
    title = models.CharField(max_length=200)
    job_id = models.CharField(max_length=64, default="")

    class Meta:
        app_label = "shop"


def order_picture(product: Product) -> None:
    """Queue the job of a product's picture, and note its id."""
    payload = TextToImage(input_text=f"{product.title}, on a white table", width=1024, height=1024)
    try:
        job_id = submit(payload, dedupe_key=f"product/{product.sku}", metadata={"sku": product.sku})
    except BrokerUnavailable:
        return  # the product is saved all the same
    Product.objects.filter(pk=product.pk).update(job_id=job_id)


def add(request: HttpRequest) -> JsonResponse:
    """Save a product."""
    with transaction.atomic():
        product = Product.objects.create(sku=request.POST["sku"], title=request.POST["title"])
        transaction.on_commit(partial(order_picture, product))
    product.refresh_from_db()
    return JsonResponse({"sku": product.sku, "job": product.job_id})


urlpatterns = [path("products", add)]
if __name__ == "__main__":
    with connection.schema_editor() as schema:
        schema.create_model(Product)
    make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application()).serve_forever()
