//! Imports are accepted at once, run later, and never store a row twice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    cases::file,
    support::{Actor, PROTOCOLS, Protocol, Raw, Response, TestApp},
};

const ROWS: &str = "subject,body,answer,type,queue,priority,language,tag_1,tag_2\n\
    One,Text,An answer,Incident,Hardware,high,de,a,b\n\
    ,\"No subject, but a body\",,Request,Hardware,low,en,,\n\
    Three,,,Incident,Hardware,high,de,,\n";

async fn wait_for_end(who: &Actor, protocol: Protocol, id: &str) -> Response {
    let since = Instant::now();
    loop {
        let answer = who.call(protocol, "OperationService.GetOperation", json!({ "operationId": id })).await.success();
        let state = answer.text("/data/state");
        if state.ends_with("SUCCEEDED") || state.ends_with("FAILED") {
            return answer;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{answer:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn importing_twice_adds_nothing_and_invalid_rows_are_listed() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let request = json!({ "accountId": account, "file": file(ROWS) });
        let began =
            cast.agent.keyed(protocol, "TicketService.ImportTickets", request, &number.to_string()).await.success();
        assert_eq!(began.status, 202);
        assert!(began.header("retry-after").is_some(), "{began:#?}");
        assert_eq!(began.header("location"), Some(format!("/api/v1/operations/{}", began.id()).as_str()));
        let response = wait_for_end(&cast.agent, protocol, &began.id()).await;
        assert!(response.text("/data/state").ends_with("SUCCEEDED"), "{response:#?}");
        let progress = &response.data()["progress"];
        let (rows_created, rows_known) = if number == 0 { ("2", "0") } else { ("0", "2") };
        assert_eq!(
            (progress["rowsCreated"].as_str(), progress["rowsKnown"].as_str()),
            (Some(rows_created), Some(rows_known)),
            "{progress}"
        );
        assert_eq!(progress["rowsFailed"], "1");
        let errors = cast
            .agent
            .call(protocol, "OperationService.ListOperationErrors", json!({ "operationId": began.id() }))
            .await;
        assert_eq!(errors.success().data()[0]["line"], "4");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 2);
    assert_eq!(app.database.number("SELECT count(*) FROM comments").await, 1, "the answer is the first comment");
    let list = cast.customer.rest("TicketService.ListTickets", json!({ "order": "TICKET_ORDER_PRIORITY_DESC" })).await;
    let list = list.success();
    assert_eq!(list.data()[0]["tags"], json!(["a", "b"]));
    assert_eq!(list.data()[1]["subject"], "No subject, but a body");
}

/// The number of rows of `many_tickets`, the last of which is cut off.
const MANY: usize = 1201;

/// Returns a file like those of other systems: more columns than most rows fill, two languages, quotes and commas
/// inside the texts, rows without a subject, and an end in the middle of a row.
fn many_tickets() -> String {
    let mut csv = "subject,body,answer,type,queue,priority,language".to_owned();
    csv.extend((1..=8).map(|number| format!(",tag_{number}")));
    for number in 1..MANY {
        let (language, subject, body) = match number % 3 {
            0 => ("de", "Rechnung fehlt", "Für \"\"Juli\"\" fehlt die Rechnung, für August auch; Grüße, Nr."),
            _ => ("en", "No invoice", "The page says: \"\"no invoice\"\", and ends there, order"),
        };
        let subject = if number % 20 == 7 { String::new() } else { format!("{subject} {number}") };
        let kind = ["Incident", "Request", "Problem", "Change"][number % 4];
        let priority = ["low", "medium", "high"][number % 3];
        let tags: Vec<_> =
            (0..8).map(|tag| if tag < number % 9 { format!("Tag {tag}") } else { String::new() }).collect();
        let answer = format!("\"Thank you, we look into {number}.\"");
        let row = format!("{subject},\"{body} {number}\",{answer},{kind},IT Support,{priority},{language}");
        csv.push_str(&format!("\n{row},{}", tags.join(",")));
    }
    csv.push_str("\nCut off,\"The body, whole.\",\"An answer that breaks o");
    csv
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tickets_are_stored_once_each_but_for_the_one_that_is_cut_off() {
    let tickets = many_tickets();
    let (total, stored) = (MANY.to_string(), (MANY - 1).to_string());
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let request = json!({ "accountId": cast.customer.as_user().account.to_string(), "file": file(&tickets) });
    for (rows_created, rows_known) in [(&*stored, "0"), ("0", &*stored)] {
        let began = cast.agent.rest("TicketService.ImportTickets", request.clone()).await.success();
        let response = wait_for_end(&cast.agent, Protocol::Rest, &began.id()).await;
        let progress = json!({
            "rowsTotal": total, "rowsDone": total, "rowsCreated": rows_created, "rowsKnown": rows_known, "rowsFailed": "1",
        });
        assert_eq!(response.data()["progress"], progress, "{response:#?}");
        let id = json!({ "operationId": began.id() });
        let errors = cast.agent.rest("OperationService.ListOperationErrors", id).await.success();
        let line = (MANY + 1).to_string();
        let message = "row ends in the middle: 3 of 15 fields";
        assert_eq!(errors.data(), &json!([{ "line": line, "code": "VALIDATION_FAILED", "message": message }]));
    }
    let count = async |of: &str| app.database.number(&format!("SELECT count(*) FROM {of}")).await;
    assert_eq!(count("tickets").await, 1200);
    assert_eq!(count("comments").await, 1200, "every row has an answer");
    assert_eq!(count("tickets WHERE language = 'de'").await, 400);
    assert_eq!(count("tickets WHERE language = 'en'").await, 800);
    for kind in 1..=4 {
        assert_eq!(count(&format!("tickets WHERE kind = {kind}")).await, 300, "kind {kind}");
    }
    let condition = "tickets WHERE starts_with(body, subject)";
    assert_eq!(count(condition).await, 60, "the subject of a row without one is the beginning of its text");
    assert_eq!(
        count("tickets WHERE body LIKE '%\"Juli\" fehlt die Rechnung, für%'").await,
        400,
        "texts keep their quotes"
    );
    assert_eq!(count("tickets WHERE cardinality(tags) = 8").await, 133, "and their tags");
}

/// Uploads a file like a generic HTTP client, and returns the tickets, oldest first, and the errors.
async fn import(app: &TestApp, who: &Actor, content_type: &str, query: &str, body: Vec<u8>) -> (Vec<Value>, Value) {
    let cast = app.cast().await;
    let (token, account) = (who.token().await.expect("a token"), cast.customer.as_user().account);
    let path = format!("/api/v1/tickets/import?accountId={account}{query}");
    let raw = Raw::new("POST", &path).header("authorization", format!("Bearer {token}"));
    let raw = raw.header("content-type", content_type);
    let began = Raw { body, ..raw }.send(app.endpoint.address).await.success();
    let response = wait_for_end(who, Protocol::Rest, &began.id()).await;
    assert!(response.text("/data/state").ends_with("SUCCEEDED"), "{response:#?}");
    let id = json!({ "operationId": began.id() });
    let errors = who.rest("OperationService.ListOperationErrors", id).await.success();
    let oldest = json!({ "order": "TICKET_ORDER_CREATE_TIME_ASC" });
    let list = cast.customer.rest("TicketService.ListTickets", oldest).await.success();
    (list.data().as_array().cloned().unwrap_or_default(), errors.data().clone())
}

fn texts(tickets: &[Value]) -> Vec<(&str, &str)> {
    let texts = tickets.iter().map(|ticket| (ticket["subject"].as_str(), ticket["body"].as_str()));
    texts.map(|(subject, body)| (subject.unwrap_or_default(), body.unwrap_or_default())).collect()
}

/// Formats that spreadsheets and shells write.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_charset_or_delimiter_is_imported() {
    let text = "Subject;Body\r\nGrüße;\"Müller, ß; \"\"x\"\"\"\r\nZwei;Ende\r\n";
    let utf_16 = |text: &str, to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(to_bytes).collect()
    };
    let latin_1 = |text: &str| -> Vec<u8> {
        text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("Latin 1")).collect()
    };
    let tabs = text.replace("Subject;Body", "Subject\tBody").replace("Grüße;", "Grüße\t").replace("Zwei;", "Zwei\t");
    let pipes = tabs.replace('\t', "|");
    let form = |part: &str| {
        let head = format!("--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"t.csv\"\r\n{part}\r\n");
        [head.as_bytes(), text.as_bytes(), b"\r\n--x--\r\n"].concat()
    };
    let tsv = "subject\tbody\r\nGrüße\t\"Müller, ß; \"\"x\"\"\"\r\nZwei\tEnde\r\n";
    let spaced = "\"subject\", \"body\"\r\n\"Grüße\", \"Müller, ß; \"\"x\"\"\"\r\nZwei, Ende\r\n";
    let cases: [(&str, &str, Vec<u8>); 21] = [
        ("application/vnd.ms-excel", "", text.as_bytes().to_vec()),
        ("application/csv", "", text.as_bytes().to_vec()),
        ("application/octet-stream", "", text.as_bytes().to_vec()),
        ("text/plain;charset=windows-1252", "", latin_1(text)),
        ("multipart/form-data; boundary=x", "", form("content-type: application/octet-stream\r\n")),
        ("multipart/form-data; boundary=x", "&delimiter=semicolon", form("")),
        ("text/csv", "", text.as_bytes().to_vec()),
        ("text/csv", "", format!("\u{feff}{text}").into_bytes()),
        ("text/csv", "", utf_16(text, u16::to_le_bytes)),
        ("text/csv; charset=utf-8", "", utf_16(text, u16::to_be_bytes)),
        ("text/csv; charset=windows-1252", "", latin_1(text)),
        ("text/csv", "&charset=iso-8859-1", latin_1(text)),
        ("text/csv", "", tabs.clone().into_bytes()),
        ("text/tab-separated-values", "", tabs.into_bytes()),
        ("text/csv", "&delimiter=pipe", pipes.into_bytes()),
        ("text/csv", "&delimiter=semicolon", format!("sep=;\r\n{text}").into_bytes()),
        // `curl --data-binary` announces a form.
        ("application/x-www-form-urlencoded", "", text.as_bytes().to_vec()),
        ("application/x-msexcel", "", text.as_bytes().to_vec()),
        ("text/x-tsv", "", tsv.as_bytes().to_vec()),
        ("text/csv", "", format!("\u{feff}\u{feff}{text}").into_bytes()),
        ("text/csv", "", spaced.as_bytes().to_vec()),
    ];
    for (content_type, query, body) in cases {
        let app = TestApp::builder().with_jobs().start().await;
        let agent = app.cast().await.agent;
        let (tickets, errors) = import(&app, &agent, content_type, query, body).await;
        let expected = [("Grüße", "Müller, ß; \"x\""), ("Zwei", "Ende")];
        assert_eq!(texts(&tickets), expected, "{content_type} {query}: {errors}");
    }
}

#[tokio::test]
async fn a_file_of_another_type_is_refused_by_name() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = cast.agent.token().await.expect("a token");
    let path = format!("/api/v1/tickets/import?accountId={}", cast.customer.as_user().account);
    let send = async |content_type: &str, body: &[u8]| {
        let raw = Raw::new("POST", &path).header("authorization", format!("Bearer {token}"));
        let raw = Raw { body: body.to_vec(), ..raw.header("content-type", content_type) };
        raw.send(app.endpoint.address).await
    };
    for content_type in ["application/vnd.ms-excel", "application/octet-stream", "text/csv"] {
        let refused = send(content_type, b"PK\x03\x04\x14\0\x06\0").await.failure("UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(refused.text("/error/message"), "The file is an Excel workbook; save it as CSV.");
    }
    send("application/pdf", b"%PDF-1.7\n").await.failure("UNSUPPORTED_MEDIA_TYPE");
    let refused = send("application/json", b"[{\"body\":\"x\"}]").await.failure("UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(refused.text("/error/message"), "The file is an array; write one object per line.");
    let field = b"--x\r\ncontent-disposition: form-data; name=\"delimiter\"\r\n\r\ntab\r\n--x\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"t.csv\"\r\n\r\nbody\r\na\r\n--x--\r\n";
    send("multipart/form-data; boundary=x", field).await.failure("VALIDATION_FAILED");
    send("multipart/form-data; boundary=x", b"--x--\r\n").await.failure("VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_another_charset_are_reported_and_not_replaced() {
    let app = TestApp::builder().with_jobs().start().await;
    let agent = app.cast().await.agent;
    let (tickets, errors) = import(&app, &agent, "text/csv", "", b"subject,body\nM\xfcller,x\nGood,y\n".to_vec()).await;
    assert_eq!(texts(&tickets), [("Good", "y")]);
    assert_eq!(errors[0]["message"], "subject is not UTF-8; name the charset of the file by `charset`");
    let cast = app.cast().await;
    let account = cast.customer.as_user().account.to_string();
    let request = |options: Value| {
        let mut request = json!({ "accountId": account, "file": file("subject,body\na,b\n") });
        request.as_object_mut().expect("an object").extend(options.as_object().expect("an object").clone());
        request
    };
    for protocol in PROTOCOLS {
        for wrong in [json!({ "charset": "ebcdic" }), json!({ "delimiter": "dot" }), json!({ "unescape": "tabs" })] {
            let answer = cast.agent.call(protocol, "TicketService.ImportTickets", request(wrong.clone())).await;
            answer.failure("VALIDATION_FAILED");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backslash_is_a_character_unless_the_import_says_otherwise() {
    let csv = "subject,body\nC:\\new\\notes,\\\\server\\new\n";
    let ndjson = "{\"subject\":\"C:\\\\new\\\\x\",\"body\":\"one\\ntwo\\\\nthree\"}\n";
    for (content_type, query, body, expected) in [
        ("text/csv", "", csv, ("C:\\new\\notes", "\\\\server\\new")),
        ("text/csv", "&unescape=newlines", csv, ("C: ew otes", "\\\\server\new")),
        ("application/x-ndjson", "", ndjson, ("C:\\new\\x", "one\ntwo\\nthree")),
        ("application/x-ndjson", "&unescape=newlines", ndjson, ("C: ew\\x", "one\ntwo\nthree")),
    ] {
        let app = TestApp::builder().with_jobs().start().await;
        let agent = app.cast().await.agent;
        let (tickets, errors) = import(&app, &agent, content_type, query, body.as_bytes().to_vec()).await;
        assert_eq!(texts(&tickets), [expected], "{content_type} {query}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_be_compressed() {
    use std::io::Write as _;
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let token = cast.agent.token().await.expect("a token");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(ROWS.as_bytes()).expect("memory");
    let gzip = gzip.finish().expect("memory");
    for address in [app.endpoint.address, app.endpoint.envoy().await.address()] {
        let path = format!("/api/v1/tickets/import?accountId={}", cast.customer.as_user().account);
        let upload = |body: Vec<u8>| {
            let raw = Raw::new("POST", &path).header("authorization", format!("Bearer {token}"));
            let raw = raw.header("content-type", "text/csv").header("content-encoding", "gzip");
            Raw { body, ..raw }
        };
        let began = upload(gzip.clone()).send(address).await.success();
        let response = wait_for_end(&cast.agent, Protocol::Rest, &began.id()).await;
        assert_eq!(response.data()["progress"]["rowsFailed"], "1", "{response:#?}");
        upload(ROWS.as_bytes().to_vec()).send(address).await.failure("MALFORMED_REQUEST");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_answered_with_the_current_state() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let request = json!({ "accountId": cast.customer.as_user().account.to_string(), "file": file(ROWS) });
    let began = cast.agent.keyed(Protocol::Rest, "TicketService.ImportTickets", request.clone(), "one").await.success();
    wait_for_end(&cast.agent, Protocol::Rest, &began.id()).await;
    for protocol in PROTOCOLS {
        let again = cast.agent.keyed(protocol, "TicketService.ImportTickets", request.clone(), "one").await.success();
        assert_eq!((again.id(), again.status), (began.id(), 200), "{again:#?}");
        assert!(again.is_replayed());
    }
    assert_eq!(app.database.number("SELECT count(*) FROM operations").await, 1);
}

/// Idle uploads block further uploads of their own principal only.
#[tokio::test(flavor = "multi_thread")]
async fn idle_uploads_leave_space_to_others() {
    let (app, cast) = TestApp::builder().set("MAX_UPLOADS", "2").start_with_cast().await;
    let token = cast.agent.token().await.expect("a token");
    let account = cast.customer.as_user().account.to_string();
    let url = format!("{}/api/v1/tickets/import?accountId={account}", app.endpoint.base());
    let idle = (0..3).map(|_| {
        let nothing = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let upload = app.endpoint.http.post(&url).bearer_auth(&token).header("content-type", "text/csv");
        tokio::spawn(upload.body(reqwest::Body::wrap_stream(nothing)).send())
    });
    let (first, _, idle) = futures_util::future::select_all(idle).await;
    assert_eq!(first.expect("no panic").expect("an answer").status(), 429, "a third one of one principal");
    let request = json!({ "accountId": account, "file": file(ROWS) });
    let response = cast.admin.call(Protocol::Grpc, "TicketService.ImportTickets", request).await.success();
    assert_eq!(response.status, 202);
    for upload in idle {
        let answer = upload.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), 504, "who sends nothing is not waited for");
    }
}
