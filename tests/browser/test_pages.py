"""Every page of the admin in a real browser: it opens, and breaks neither its scripts nor its policy."""

from django.contrib import admin as django_admin
from django.urls import reverse

from annotations.models import Annotation, Category, ImportJob
from assets.models import ImageAsset
from projects.models import Project
from tests import factories


def test_every_page_opens_without_a_fault(open_as, street):
    page = open_as(factories.make_admin("admin@example.com"), "/admin/")
    base = page.url.removesuffix("/admin/")
    lists = [model._meta for model in django_admin.site._registry]
    addresses = [reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist") for meta in lists]
    for model in (ImageAsset, Annotation, Category, ImportJob, Project):
        meta = model._meta
        addresses.append(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[model.objects.first().pk]))
    addresses += [reverse(f"admin:django_celery_beat_{name}_add") for name in ("periodictask", "crontabschedule")]
    addresses += [reverse("admin:accounts_user_add"), reverse("admin:password_change")]
    for address in addresses:
        answer = page.goto(base + address)
        assert answer.status == 200, address
        assert page.locator("#main").is_visible(), address


def test_the_theme_is_switched_and_kept(open_as, street):
    page = open_as(factories.make_admin("admin@example.com"), "/admin/")
    page.locator("#nav-sidebar-inner .material-symbols-outlined", has_text="unfold_more").click()
    page.get_by_text("Dark", exact=True).click()
    assert "dark" in (page.locator("html").get_attribute("class") or "")
    page.goto(page.url + f"work/{street.pk}/images")
    assert "dark" in (page.locator("html").get_attribute("class") or "")


def test_the_language_is_switched_and_kept(open_as, street):
    page = open_as(factories.make_admin("admin@example.com"), "/admin/")
    page.locator("#nav-sidebar-inner .material-symbols-outlined", has_text="unfold_more").click()
    page.get_by_role("button", name="한국어").click()
    page.wait_for_selector("text=내 프로젝트")
