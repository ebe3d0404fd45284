"""What an OpenAPI document cannot express about a request to Mainstay, each with its reason.

Schemathesis considers a request valid exactly if it fits the schema. This file handles the requests in between, and
provides the test data that a fuzzer cannot guess.
"""

import base64
import email
import email.policy
import json
import os
import pathlib
import re
import time
import uuid

import jsonschema_rs
import requests
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import JsonSchemaError, RejectedPositiveData, UnsupportedMethodResponse, UseAfterFree

URL = os.environ["MAINSTAY_URL"]
THROUGH_ENVOY = os.environ.get("MAINSTAY_PROTOCOL") == "envoy"
PASSWORD = "correct horse battery staple"


def post(path, body, token=None):
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    answer = requests.post(f"{URL}/api/v1/{path}", json=body, headers=headers, timeout=20)
    answer.raise_for_status()
    return answer.json()["data"] if answer.content else None


def sign_in(email, password):
    return post("auth/login", {"email": email, "password": password})


def get_all(path, token):
    answer = requests.get(f"{URL}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=20)
    answer.raise_for_status()
    return answer.json()


def get(path, token):
    return get_all(path, token)["data"]


def operation_id(case):
    return case.operation.definition.raw["operationId"]


def is_good(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


ADMIN_SIGN_IN = {"email": os.environ["MAINSTAY_EMAIL"], "password": os.environ["MAINSTAY_PASSWORD"]}
ADMIN_TOKEN = sign_in(**ADMIN_SIGN_IN)["accessToken"]
ADMIN = get("me", ADMIN_TOKEN)

OUTBOX = pathlib.Path(os.environ["MAINSTAY_DATA_DIR"]) / "outbox"


def register(address):
    """Creates a user with the token from the mail that the server has written to its outbox."""
    post("auth/register", {"email": address})
    for _ in range(600):
        for path in sorted(OUTBOX.glob("*.eml"), reverse=True):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            token = re.search(r"mrg_[\w-]+", mail.get_body(("plain",)).get_content())
            if mail["to"] == address and token:
                user = {"token": token[0], "password": PASSWORD, "name": "Passer-by"}
                return post("auth/register/confirm", user)
        time.sleep(0.1)
    raise AssertionError("the registration mail did not come within a minute")


PASSERBY = f"{uuid.uuid4()}@example.com"
PASSERBY_ID = register(PASSERBY)["id"]
PASSERBY_ACCOUNT = sign_in(PASSERBY, PASSWORD)["accountId"]

# Operations that end the session they are called with.
ENDS_SESSIONS = ["AuthService_Logout", "SessionService_RevokeAllSessions", "SessionService_RevokeSession"]


@schemathesis.auth().skip_for(operation_id=ENDS_SESSIONS)
class Admin:
    """An admin, who may call every other operation. Some require a sign-in within the last 10 minutes: it is repeated."""

    def get(self, case, context):
        return sign_in(**ADMIN_SIGN_IN)["accessToken"]

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.auth(refresh_interval=None).apply_to(operation_id=ENDS_SESSIONS)
class Passerby:
    """A user that nothing else depends on, whose own session can be named in a request."""

    def get(self, case, context):
        return sign_in(PASSERBY, PASSWORD)["accessToken"]

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"
        if is_good(case) and "sessionId" in (case.path_parameters or {}):
            case.path_parameters["sessionId"] = get("sessions", token)[0]["id"]


# Operations that end the sessions of the user in their path.
ENDS_SESSIONS_OF = [
    "SessionService_RevokeAllUserSessions",
    "SessionService_RevokeUserSession",
    "UserService_DeactivateUser",
    "UserService_SetUserRole",
]


@schemathesis.hook
def filter_case(context, case):
    # The users who sign the requests must keep their role and their sessions.
    user = (case.path_parameters or {}).get("userId")
    return not (operation_id(case) in ENDS_SESSIONS_OF and user in (ADMIN["id"], PASSERBY_ID))


TIMEOUT = re.compile(r"(?!0+(\.0+)?(s|ms)?$)[0-9]{1,8}(\.[0-9]{1,9})?(s|ms)?")


def fresh(key):
    """A key of the same form that no earlier request used."""
    unique = uuid.uuid4().hex
    if key.startswith('"'):
        return f'"{unique}{key[1:]}' if len(key) <= 255 - len(unique) else f'"{unique}"'
    return key[: 255 - len(unique)] + unique


def made(path, body):
    """Creates a resource as the admin, for the request at hand to refer to."""
    return post(path, body, ADMIN_TOKEN)["id"]


def order():
    return made("orders", {"accountId": KNOWN["accountId"], "items": [{"productId": KNOWN["productId"], "quantity": 1}]})


def imported():
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "text/csv"}
    url = f"{URL}/api/v1/tickets/import?accountId={KNOWN['accountId']}"
    answer = requests.post(url, headers=headers, data="subject,body\nOne,Two\n", timeout=20)
    answer.raise_for_status()
    return answer.json()["data"]["id"]


# Existing resources, by the name of the field that refers to them. Staff must name the account they act for.
KNOWN = {
    "accountId": get_all("me", ADMIN_TOKEN)["accountId"],
    "assigneeId": ADMIN["id"],
    "currencyCode": "EUR",
    # Its name resolves to nothing, so that no sign-in begins.
    "issuer": "https://id.example.invalid",
    "paymentMethod": "pm_card_visa",
    "productId": made("products", {"name": "Standing desk", "price": {"amountMinor": "39900", "currencyCode": "EUR"}}),
    # A public https host with a name that nobody can register (RFC 6761), so real events may be sent to it.
    "url": "https://hooks.example.invalid/mainstay",
    "redirectUris": ["https://reports.example.invalid/callback"],
}


def subscription():
    box = {"name": "A box", "price": {"amountMinor": "900", "currencyCode": "EUR"}, "billingInterval": "BILLING_INTERVAL_MONTH"}
    wanted = {"accountId": KNOWN["accountId"], "productId": made("products", box)}
    return made("subscriptions", {**wanted, "paymentMethod": KNOWN["paymentMethod"]})


def endpoint():
    types = ["operations.operation.finished"]
    return made("webhook-endpoints", {"url": KNOWN["url"], "eventTypes": types, "accountId": KNOWN["accountId"]})


def resolved(schema, root):
    """The schema that a reference points to."""
    while "$ref" in schema:
        schema = root["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def with_known(value, schema, root):
    """The value with existing resources in the fields that refer to one."""
    schema = resolved(schema, root)
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        kept = {name: with_known(field, fields.get(name, {}), root) for name, field in value.items()}
        return kept | {name: KNOWN[name] for name in fields.keys() & KNOWN.keys()}
    if isinstance(value, list):
        return [with_known(item, schema.get("items", {}), root) for item in value]
    return value


def bulk_change(body):
    """The request with one way to select tickets, and with the fields that its action takes."""
    kept = {name: value for name, value in body.items() if name not in ("patch", "assigneeId")}
    if kept.get("ids"):
        kept.pop("filter", None)
    else:
        # The tickets of the other requests stay as they are.
        kept |= {"filter": kept.get("filter") or {}, "validateOnly": True}
    if kept["action"] == "TICKET_BULK_ACTION_UPDATE":
        kept["patch"] = {"priority": "TICKET_PRIORITY_HIGH"} | (body.get("patch") or {})
        # A tag is not both added and removed.
        if kept["patch"].get("addTags"):
            kept["patch"].pop("removeTags", None)
    if kept["action"] == "TICKET_BULK_ACTION_ASSIGN" and body.get("assigneeId"):
        kept["assigneeId"] = KNOWN["assigneeId"]
    return kept


# A picture of one pixel.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def json_schema(case):
    """The schema of a JSON body; None if the body is a file."""
    content = case.operation.definition.raw.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("schema")


def prepare(case):
    """Fills in existing resources, and creates the state that the operation requires."""
    if isinstance(case.body, dict) and json_schema(case):
        case.body = with_known(case.body, json_schema(case), case.operation.schema.raw_schema)
    match operation_id(case):
        case "FileService_UploadFile" | "UserService_SetUserAvatar" as operation:
            # The schema does not state which bytes are a picture, nor that a file outside a form needs a name.
            case.body = {"file": PICTURE} if isinstance(case.body, dict) else PICTURE
            if operation == "FileService_UploadFile":
                known = {"name": "pixel.png", "purpose": "FILE_PURPOSE_IMAGE", "accountId": KNOWN["accountId"]}
                case.query = {**(case.query or {}), **known}
        case "TicketService_ImportTickets":
            if isinstance(case.body, dict):
                # The schema does not state that a form has no other part.
                case.body = {"file": b"subject,body\nOne,Two\n"}
            case.query = {**(case.query or {}), "accountId": KNOWN["accountId"]}
        case "TicketService_BulkChangeTickets":
            # The schema does not state which fields go together.
            case.body = bulk_change(case.body)
        case "TicketService_ReopenTicket":
            # The ticket may not exist, or may be resolved already.
            ticket = f"{URL}/api/v1/tickets/{case.path_parameters['ticketId']}/resolve"
            requests.post(ticket, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, timeout=20)
        case "OperationService_CancelOperation":
            case.path_parameters["operationId"] = imported()
        case "OrderService_CancelOrder":
            case.path_parameters["orderId"] = order()
        case "PaymentService_ChargePayment":
            case.body = {**case.body, "orderId": order()}
        case "RefundService_CreateRefund":
            charge = {"orderId": order(), "paymentMethod": KNOWN["paymentMethod"]}
            case.path_parameters["paymentId"] = made("payments/charge", charge)
        case "SubscriptionService_CancelSubscription":
            case.path_parameters["subscriptionId"] = subscription()
        case "WebhookDeliveryService_ListWebhookDeliveries":
            case.path_parameters["endpointId"] = endpoint()
        case "DeletionService_CreateDeletion" | "DeletionService_ListDeletions":
            # The schema does not state that a user and an account exclude each other.
            (case.body if isinstance(case.body, dict) else case.query or {}).pop("accountId", None)
        case "ImpersonationService_StartImpersonation":
            # The schema does not state that the user is not of the staff, and is a member of the account.
            case.body = {**case.body, "userId": PASSERBY_ID, "accountId": PASSERBY_ACCOUNT}
        case "AuthService_Refresh":
            # A refresh token is valid once.
            case.body = {**case.body, "refreshToken": sign_in(**ADMIN_SIGN_IN)["refreshToken"]}


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.headers
    # A timeout of a millisecond is rightly answered 504, so every valid value becomes a sufficient one.
    if TIMEOUT.fullmatch(str(headers.get("X-Request-Timeout", ""))):
        headers["X-Request-Timeout"] = "20s"
    # A watch lasts for minutes, unless its caller has less time. The host of the test endpoint is not registered, and a
    # resolver may take seconds to say so.
    is_watch = operation_id(case).partition("_")[2].startswith("Watch")
    is_slow = is_watch or operation_id(case) == "WebhookEndpointService_TestWebhookEndpoint"
    if is_slow and headers.get("X-Request-Timeout", "20s") == "20s":
        headers["X-Request-Timeout"] = "1s"
    # A key identifies one request forever, so every key is fresh, in the form the fuzzer chose.
    if re.fullmatch(r'[!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}"', str(headers.get("Idempotency-Key", ""))):
        headers["Idempotency-Key"] = fresh(headers["Idempotency-Key"])
    if not is_good(case):
        return
    prepare(case)
    # The version in the example is not the version of the stored resource.
    if headers.get("If-Match") == '"7"':
        headers["If-Match"] = "*"
    # Every stored resource has a tag, so that `*` is rightly answered 412, and so is the tag of the current version.
    if case.method != "GET":
        headers.pop("If-None-Match", None)
    # A resume token must come from an earlier message of the same stream.
    if is_watch:
        headers.pop("Last-Event-ID", None)
        (case.query or {}).pop("resumeToken", None)
    # A page token must come from an earlier page of the same list, and excludes `page`.
    if "pageToken" in (case.query or {}):
        del case.query["pageToken"]


# Errors for valid requests that depend on stored data, which no schema describes: business rules and versions.
STATE = {
    entry["code"]
    for entry in requests.get(f"{URL}/openapi.json", timeout=20).json()["x-error-catalogue"]
    if entry["http"] in (412, 422) and entry["code"] not in ("VALIDATION_FAILED", "IDEMPOTENCY_KEY_REUSED")
}
# Rules between fields, about stored data, or about the time, which JSON Schema can't express. Each one is in the
# description of its field.
BEYOND_SCHEMA = {
    "must be 12 to 128 characters",  # Counted after normalization; the contract admits decomposed letters.
    "must be a name, not a path",
    "must have more than dots and spaces",
    "must not have the same item twice",  # Tags that differ in white space around them.
    "must not have control characters",
    "must have a visible character",
    "must be one line",
    "must be one line with a visible character",
    "must be an e-mail address",  # A sign-in also takes forms that earlier versions accepted.
    "must be an e-mail address that mail can be sent to",
    "must be the domain of mail addresses",
    "must not be a public suffix",
    "must not be the domain of a public mail provider",
    "must be shorter",
    "must be a charset of the WHATWG Encoding Standard, such as windows-1252",
    "can't be cleared",  # The mask names a required field that the body omits.
    "is too deep; use pageToken instead",
    "names no field to change",  # Neither mask nor body names a field.
    "must be given, or else a kind",  # Ids of dead jobs, or their kind.
    "must be a code of ISO 4217, like EUR",
    "must be at least 1",
    "can't be changed from EUR",
    "must be an agent or an admin",
    "must be an active agent or admin",
    "must be absent unless the role is that of an agent",
    "is required with MEMBER_ROLE_CUSTOM, and only with it",
    "is a scope of the staff",
    "must be a scope that the API reference lists",
    "must not be the name of a built-in role",
    "must neither be deactivated nor scheduled for deletion",
    "must not be that of an owner: the user is deactivated or scheduled for deletion",
    "must be absent if userId is present",
    "is required unless accountId is present",
    "is the user's address already",
    "needs resourceId",
    "must be in the future",
    "must be at most 366 days ahead",
    "must be an IP prefix",
    "must be absent for a key of the platform",
    "must be in the future, within ten years",
    "is required without a passkey",
    "is required without a token",
    "must be the JSON text of a credential",
    "has no id of a credential",
    "must be lower-case letters and digits, in words joined by hyphens",
    "must be a BCP 47 language tag, such as en or de-AT",
    "must be a media type, such as image/png",
    "is not the number of an order: check its digits",
    "must be a day that exists, as YYYY-MM-DD",
    "must be a time of the years 1 to 9999",
    "must be before endTime",
    "must be in a period that ends before 2099-12-31",
    "must be later: the preceding periods, which are compared, begin in 2000 at the earliest",
    "must be the IANA name of a time zone, such as Europe/Berlin or America/New_York",
    "must not be after endDate",
    "must be an https URL, or an http URL of a loopback address, without a fragment",
    "must not have a parameter of a response: code, state, iss or error",
    "must contain a grant that begins the access",
    "must not contain client credentials for a public client",
    "must be client credentials alone for a client of an account",
    "must have an address for the authorization code",
    "must be empty without the authorization code",
    "must be false for a public client",
    "the range may have at most 100 periods",
}


def is_another_path(case):
    """Whether the path also matches another operation that takes this HTTP method.

    `PATCH /tickets/batch` addresses the ticket `batch`, as google.api.http has it: a route is a method and a path.
    """
    path = case.formatted_path
    paths = case.operation.schema.raw_schema["paths"]
    return any(
        case.method.lower() in item and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path)
        for template, item in paths.items()
    )


def as_read(value, schema, root):
    """The value as ProtoJSON reads it, in the terms of the schema.

    `null` is an absent field, and no item; an enum may be its number, an int64 a number, `"true"` a boolean, and digits
    an integer; white space around a line counts for nothing. The document describes what to send, not everything that
    is accepted.
    """
    schema = resolved(schema, root)
    kind = schema.get("type")
    if isinstance(value, dict) and kind == "object":
        fields = schema.get("properties", {})
        return {name: as_read(field, fields.get(name, {}), root) for name, field in value.items() if field is not None}
    if isinstance(value, list) and kind == "array":
        return [as_read(item, schema["items"], root) for item in value if item is not None]
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        if "enum" in schema and -(2**31) <= value < 2**31:
            return schema["enum"][0]
        if schema.get("format") == "int64":
            return str(int(value))
    if isinstance(value, str):
        if "enum" in schema and re.fullmatch("-?[0-9]+", value):
            return schema["enum"][0]
        if kind == "boolean" and value.lower() in ("true", "t", "yes", "y", "1", "false", "f", "no", "n", "0"):
            return value.lower() in ("true", "t", "yes", "y", "1")
        if kind == "integer" and re.fullmatch("-?[0-9]+", value):
            return int(value)
        if schema.get("format") == "int64" and re.fullmatch("-?[0-9]+", value):
            return str(int(value))
        # Normalization removes white space around a line and around an e-mail address.
        if kind == "string" and not {"enum", "pattern"} & schema.keys():
            return value.strip()
    return value


def is_understood(case):
    """Whether a request that violates the schema is valid ProtoJSON."""
    root = case.operation.schema.raw_schema
    raw = case.operation.definition.raw
    schemas = {parameter["name"]: parameter["schema"] for parameter in raw["parameters"] if parameter.get("in") == "query"}
    parts = [(value, schemas.get(name)) for name, value in (case.query or {}).items()]
    if isinstance(case.body, dict) and json_schema(case):
        parts.append((case.body, json_schema(case)))
    # Only a part that ProtoJSON reads differently can be the reason; a part that reads the same is judged unchanged.
    # Any bytes are a valid file: faults in a file are detected when it is parsed.
    changed = "requestBody" in raw and not json_schema(case)
    for value, schema in parts:
        if schema is None:
            return False
        read = as_read(value, schema, root)
        changed |= read != value
        validator = jsonschema_rs.validator_for({**schema, "components": root["components"]}, validate_formats=True)
        if not validator.is_valid(read):
            return False
    return changed


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # The receiver of a test event does not exist or is not found in time, and the response says so.
    if operation_id(case) == "WebhookEndpointService_TestWebhookEndpoint" and response.status_code in (502, 504):
        return response.json()["error"]["code"] not in ("UPSTREAM_FAILED", "UPSTREAM_TIMEOUT", "DEADLINE_EXCEEDED")
    # An export without tickets has no lines.
    if isinstance(failure, JsonSchemaError) and not response.content:
        return False
    # A mask omits fields that every other response contains.
    if isinstance(failure, JsonSchemaError) and "readMask" in (case.query or {}):
        return "required" not in failure.schema_path
    if isinstance(failure, UnsupportedMethodResponse):
        # Envoy's HTTP/1.1 parser treats an unknown method as malformed, for every path.
        unheard_of = THROUGH_ENVOY and response.request.method == "QUERY"
        return not (unheard_of or is_another_path(case))
    # A revoked key stays visible, so that its past activity can be traced.
    if isinstance(failure, UseAfterFree):
        return not operation_id(case).startswith("ServiceKeyService_")
    if isinstance(failure, AcceptedNegativeData):
        return not is_understood(case)
    if not isinstance(failure, RejectedPositiveData):
        return True
    error = response.json()["error"]
    # The limit depends on the currency.
    faults = {fault for fault in error["fields"].values() if not fault.startswith("must be from 1 to ")}
    beyond = error["code"] == "VALIDATION_FAILED" and BEYOND_SCHEMA.issuperset(faults)
    # The maximum file size is configurable.
    is_too_large = error["code"] == "PAYLOAD_TOO_LARGE" and operation_id(case) == "FileService_CreateUpload"
    # A person creates few accounts a day.
    is_beyond_a_day = error["code"] == "RATE_LIMIT_EXCEEDED" and error["metadata"].get("policy") == "account-person"
    return not (error["code"] in STATE or beyond or is_too_large or is_beyond_a_day)


@schemathesis.serializer("application/x-ndjson", "text/csv", "text/tab-separated-values")
def file(context, value):
    return (value if isinstance(value, str) else json.dumps(value)).encode()


@schemathesis.deserializer("text/csv")
def text(context, response):
    """The document describes a file as a text."""
    return response.text


@schemathesis.deserializer("application/x-ndjson")
def lines(context, response):
    """The document describes one line; the first line stands for all. An empty stream has nothing to check."""
    first = next((line for line in response.content.splitlines() if line), b'{"data": {}}')
    return json.loads(first)
