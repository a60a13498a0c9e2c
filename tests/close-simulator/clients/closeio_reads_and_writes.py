"""The vendor's client, closeio 2.1, unmodified except for the base URL, reads everything
and writes like an integration.

Environment: CLOSE_URL (ends in /api/v1/), CLOSE_KEY. Fails on the first unexpected result.
"""

import os
import sys

import closeio_api
from closeio_api import API, APIError, ValidationError

URL, KEY = os.environ["CLOSE_URL"], os.environ["CLOSE_KEY"]
CONTROL = URL.replace("/api/v1/", "/_control/")

LISTS = """
lead contact opportunity task user role group pipeline sequence email_template sms_template saved_search webhook
activity activity/note activity/call activity/email activity/emailthread activity/sms activity/whatsapp_message activity/meeting
activity/custom activity/created activity/form_submission activity/status_change/lead activity/status_change/opportunity
activity/lead_merge activity/task_completed activity/import_update
status/lead status/opportunity custom_field/lead custom_field/contact custom_field/opportunity custom_field/activity
custom_field/custom_object_type custom_field/shared custom_activity custom_object_type connected_account send_as phone_number
blocked_phone_number integration_link outcome playbook dialer unsubscribe/email bulk_action/edit bulk_action/delete bulk_action/email
bulk_action/sequence_subscription export
""".split()


def truth(api, name):
    """How many objects of a name the simulator holds."""
    response = api.session.get(CONTROL + "truth/digest/", params={"object": name})
    response.raise_for_status()
    return response.json()["objects"][name]["count"]


def every(api, path, **params):
    """All rows of a list, page by page, as the vendor's scripts read them."""
    rows, skip, ids = [], 0, set()
    while True:
        page = api.get(path, params=dict(params, _skip=skip, _limit=100))
        rows.extend(page["data"])
        for row in page["data"]:
            assert row["id"] not in ids, f"{path}: {row['id']} twice"
            ids.add(row["id"])
        if not page.get("has_more"):
            return rows
        skip += len(page["data"])


def refused(kind, call):
    """The error that a call must end with."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def reads(api):
    assert closeio_api.__version__ == "2.1"
    me = api.get("me")
    organization = api.get("organization/" + me["organizations"][0]["id"])
    assert organization["memberships"] and organization["lead_statuses"] and organization["pipelines"], organization
    read = {path: every(api, path) for path in LISTS}
    for path, name in [
        ("lead", "lead"), ("contact", "contact"), ("opportunity", "opportunity"), ("task", "task"), ("activity/note", "note"),
        ("activity/call", "call"), ("activity/email", "email"), ("activity/meeting", "meeting"), ("activity/sms", "sms"),
    ]:
        assert len(read[path]) == truth(api, name), f"{path}: {len(read[path])} read, {truth(api, name)} there"
        assert read[path], f"{path} is empty"
    for path in ["lead", "contact", "opportunity", "task", "activity/note", "user"]:
        row = api.get(f"{path}/{read[path][0]['id']}")
        assert row["id"] == read[path][0]["id"]
    for lead in read["lead"][:20]:
        every(api, "custom_object", lead_id=lead["id"])
    for sequence in read["sequence"]:
        every(api, "sequence_subscription", sequence_id=sequence["id"])
    total = api.get("lead", params={"_limit": 0})
    assert total["total_results"] == len(read["lead"]) and total["data"] == []
    found = api.post("data/search", data={
        "query": {"type": "object_type", "object_type": "lead"}, "_fields": {"lead": ["id", "name"]}, "_limit": 10,
    })
    assert len(found["data"]) == min(10, len(read["lead"])), found
    overridden = api.post("contact", data={"_params": {"_limit": 3}}, headers={"x-http-method-override": "GET"})
    assert len(overridden["data"]) == 3
    return read


def writes(api):
    lead = api.post("lead", data={
        "name": "Nordlicht GmbH", "url": "https://nordlicht.example",
        "contacts": [{"name": "Ida Brandt", "emails": [{"email": "ida@nordlicht.example", "type": "office"}]}],
    })
    contact = lead["contacts"][0]
    assert contact["emails"][0]["email"] == "ida@nordlicht.example"
    lead = api.put("lead/" + lead["id"], data={"description": "ships"})
    assert (lead["name"], lead["description"]) == ("Nordlicht GmbH", "ships")
    opportunity = api.post("opportunity", data={
        "lead_id": lead["id"], "value": 125000, "value_period": "monthly", "confidence": 40, "note": "asks for SEPA",
    })
    won = next(status for status in api.get("status/opportunity")["data"] if status["type"] == "won")
    opportunity = api.put("opportunity/" + opportunity["id"], data={"status_id": won["id"]})
    assert opportunity["status_type"] == "won" and opportunity["date_won"], opportunity
    task = api.post("task", data={"lead_id": lead["id"], "text": "Send contract", "date": "2026-10-01"})
    assert api.put("task/" + task["id"], data={"is_complete": True})["is_complete"] is True
    note = api.post("activity/note", data={"lead_id": lead["id"], "note": "called"})
    assert api.put("activity/note/" + note["id"], data={"note": "called twice"})["note"] == "called twice"
    call = api.post("activity/call", data={"lead_id": lead["id"], "direction": "outbound", "duration": 60, "phone": "+4943100001"})
    assert call["_type"] == "Call"
    field = api.post("custom_field/lead", data={"name": "Industry (client)", "type": "text"})
    key = "custom." + field["id"]
    assert api.put("lead/" + lead["id"], data={key: "Shipping"})[key] == "Shipping"
    hook = api.post("webhook", data={"url": "https://hooks.example/close", "events": [{"object_type": "lead", "action": "updated"}]})
    assert len(hook["signature_key"]) == 64
    api.delete("webhook/" + hook["id"])

    invalid = refused(ValidationError, lambda: api.post("lead", data={"contacts": [{"emails": [{"email": "no address"}]}]}))
    path = ("contacts", "errors", "0", "field-errors", "emails", "errors", "0", "field-errors", "email")
    found = invalid.field_errors
    for step in path:
        found = found[step]
    assert found == "Invalid email address.", invalid.field_errors
    missing = refused(APIError, lambda: api.get("lead/lead_" + "x" * 43))
    assert missing.response.status_code == 404
    wrong = refused(APIError, lambda: API(URL, "api_wrong").get("me"))
    assert wrong.response.status_code == 401

    events, cursor = [], ""
    while cursor is not None and len(events) < 500:
        page = api.get("event", params={"lead_id": lead["id"], "_cursor": cursor})
        events.extend(page["data"])
        cursor = page["cursor_next"]
    told = {(event["object_type"], event["action"]) for event in events}
    for expected in [
        ("lead", "created"), ("contact", "created"), ("opportunity", "created"), ("activity.opportunity_status_change", "created"),
        ("task.lead", "completed"), ("activity.task_completed", "created"), ("activity.note", "created"), ("activity.call", "created"),
    ]:
        assert expected in told, f"{expected} is not among {sorted(told)}"
    stamps = [event["date_updated"] for event in events]
    assert stamps == sorted(stamps, reverse=True)

    assert api.delete("lead/" + lead["id"]) == {}
    gone = refused(APIError, lambda: api.get("contact/" + contact["id"]))
    assert gone.response.status_code == 404


def main():
    api = API(URL, KEY)
    read = reads(api)
    writes(api)
    print(f"closeio {closeio_api.__version__}: {sum(map(len, read.values()))} rows of {len(read)} lists read")


if __name__ == "__main__":
    sys.exit(main())
