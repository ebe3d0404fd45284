//! Search finds the displayed text, in every script and every Unicode normalization form.

use serde_json::json;

use crate::support::{Actor, PROTOCOLS, Protocol, TestApp};

async fn subjects(who: &Actor, protocol: Protocol, query: &str) -> Vec<String> {
    let list = who.call(protocol, "TicketService.ListTickets", json!({ "query": query })).await.success();
    let mut subjects: Vec<_> = list.data().as_array().into_iter().flatten().map(|t| t["subject"].to_string()).collect();
    assert_eq!(list.text("/meta/total"), subjects.len().to_string(), "{query}");
    subjects.iter_mut().for_each(|subject| *subject = subject.trim_matches('"').to_owned());
    subjects.sort();
    subjects
}

async fn create(who: &Actor, subject: &str, body: &str) {
    let draft = json!({ "subject": subject, "body": body });
    who.rest("TicketService.CreateTicket", draft).await.success();
}

/// Words in these scripts are not separated by spaces.
#[tokio::test]
async fn words_of_scripts_without_spaces_are_found() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    create(&customer, "打印机坏了", "办公室里的").await;
    create(&customer, "打坏印机", "没有").await;
    create(&customer, "プリンターが故障しました", "A4の紙").await;
    create(&customer, "프린터가 고장났어요", "도와주세요").await;
    create(&customer, "เครื่องพิมพ์เสีย", "ช่วยด้วย").await;
    create(&customer, "printer", "A4打印纸").await;
    // "The printer is broken", in Javanese and Balinese.
    create(&customer, "ꦥꦿꦶꦤ꧀ꦠꦼꦂꦫꦸꦱꦏ꧀", "ꦠꦸꦭꦸꦁ").await;
    create(&customer, "ᬧ᭄ᬭᬶᬦ᭄ᬢᭂᬃᬭᬸᬲᬓ᭄", "ᬢᬸᬮᬸᬂ").await;
    let chinese = ["打印机坏了", "打坏印机", "printer"];
    let mut with_print = vec![chinese[0], chinese[2]];
    with_print.sort_unstable();
    for (query, expected) in [
        ("打印机", vec!["打印机坏了"]),
        ("打印", with_print),
        ("\"印机坏\"", vec!["打印机坏了"]),
        ("办公室", vec!["打印机坏了"]),
        ("坏了", vec!["打印机坏了"]),
        ("印机", vec!["打印机坏了", "打坏印机"]),
        ("机", vec!["打印机坏了", "打坏印机"]),
        ("机 -坏了", vec!["打坏印机"]),
        ("プリンター", vec!["プリンターが故障しました"]),
        ("故障", vec!["プリンターが故障しました"]),
        ("프린터", vec!["프린터가 고장났어요"]),
        ("พิมพ์", vec!["เครื่องพิมพ์เสีย"]),
        ("ꦫꦸꦱꦏ꧀", vec!["ꦥꦿꦶꦤ꧀ꦠꦼꦂꦫꦸꦱꦏ꧀"]),
        ("ᬭᬸᬲᬓ᭄", vec!["ᬧ᭄ᬭᬶᬦ᭄ᬢᭂᬃᬭᬸᬲᬓ᭄"]),
        ("A4打印", vec!["printer"]),
        ("打印机 or printer", vec!["printer", "打印机坏了"]),
        ("印打", vec![]),
    ] {
        for protocol in PROTOCOLS {
            let mut expected = expected.clone();
            expected.sort_unstable();
            assert_eq!(subjects(&customer, protocol, query).await, expected, "{query} over {protocol:?}");
        }
    }
}

/// Folding in Postgres and folding of the query agree, in both directions.
#[tokio::test]
async fn variants_of_a_character_find_each_other() {
    let app = TestApp::builder().set("OPEN_TICKET_LIMIT", "100").start().await;
    let customer = app.cast().await.customer;
    let pairs = [
        ("ΟΔΟΣ", "οδος"),
        ("Σεισμός", "ΣΕΙΣΜΌΣ"),
        ("Straße", "STRASSE"),
        ("GROẞ", "gross"),
        ("ＡＢＣ", "abc"),
        ("ﾌﾟﾘﾝﾀ", "プリンタ"),
        ("مُحَمَّد", "محمد"),
        ("كتاب", "کتاب"),
        ("علي", "علی"),
        ("أحمد", "احمد"),
        ("مـــرحبا", "مرحبا"),
        ("שָׁלוֹם", "שלום"),
        ("葛\u{e0100}城", "葛城"),
        ("pa\u{ad}per\u{200b}work", "paperwork"),
        ("می\u{200c}خواهم", "میخواهم"),
        ("ﬁle", "file"),
        ("①", "1"),
    ];
    for (number, (one, other)) in pairs.iter().enumerate() {
        create(&customer, &format!("one {number}"), one).await;
        create(&customer, &format!("other {number}"), other).await;
    }
    for (number, (one, other)) in pairs.iter().enumerate() {
        let both = [format!("one {number}"), format!("other {number}")];
        for query in [one, other] {
            let query = format!("\"{query}\"");
            let found = subjects(&customer, Protocol::Rest, &query).await;
            assert!(both.iter().all(|subject| found.contains(subject)), "{query}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_text_is_found_in_whichever_form_it_was_typed() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    for (composed, decomposed) in
        [("Müller", "Mu\u{308}ller"), ("한국어", "\u{1112}\u{1161}\u{11ab}국어"), ("ガス", "カ\u{3099}ス")]
    {
        create(&customer, decomposed, "decomposed").await;
        create(&customer, composed, "composed").await;
        for query in [composed, decomposed] {
            assert_eq!(subjects(&customer, Protocol::Rest, query).await, [composed, composed], "{query}");
        }
    }
    // Filters by equality normalize the text, too.
    let draft = json!({ "subject": "one", "body": "b", "queue": "Bu\u{308}ro", "tags": ["e\u{301}"] });
    customer.call(Protocol::Grpc, "TicketService.CreateTicket", draft).await.success();
    for filter in [json!({ "queues": ["Büro"] }), json!({ "tags": ["é"] }), json!({ "queues": ["Bu\u{308}ro"] })] {
        let list = customer.rest("TicketService.ListTickets", filter.clone()).await.success();
        assert_eq!(list.data()[0]["queue"], "Büro", "{filter}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM tickets WHERE subject IS NOT NFC NORMALIZED").await, 0);
}

#[tokio::test]
async fn addresses_and_paths_are_found_by_their_parts_and_as_a_whole() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    create(&customer, "address", "Write to ada.lovelace@mail.example.com now").await;
    create(&customer, "path", "See C:\\new\\notes and https://example.com/a_b-c?d=1 <b>x</b>").await;
    create(&customer, "apart", "example of a com port, lovelace wrote ada").await;
    for (query, expected) in [
        ("ada.lovelace@mail.example.com", &["address"][..]),
        ("lovelace", &["address", "apart"]),
        ("example.com", &["address", "path"]),
        ("\"example com\"", &["address", "path"]),
        ("C:\\new\\notes", &["path"]),
        ("https://example.com/a_b-c", &["path"]),
        ("lovelace -example.com", &["apart"]),
        ("<b>x</b>", &["path"]),
        ("<!-- ~/ _", &[]),
    ] {
        assert_eq!(subjects(&customer, Protocol::Rest, query).await, expected, "{query}");
    }
}

/// The server splits a query, and Postgres a text, by the same rules; otherwise words would not be found.
#[tokio::test]
async fn a_text_that_changes_is_found_by_its_new_words_alone() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    let draft = json!({ "subject": "旧标题", "body": "old text" });
    let id = customer.rest("TicketService.CreateTicket", draft).await.success().id();
    let patch = json!({ "ticketId": id, "ticket": { "subject": "新标题" } });
    customer.rest("TicketService.UpdateTicket", patch).await.success();
    for (query, expected) in [("新标题", &["新标题"][..]), ("标题", &["新标题"]), ("旧标题", &[]), ("old", &["新标题"])]
    {
        assert_eq!(subjects(&customer, Protocol::Rest, query).await, expected, "{query}");
    }
    customer.rest("TicketService.ResolveTicket", json!({ "ticketId": id })).await.success();
    assert_eq!(subjects(&customer, Protocol::Rest, "新标题").await, ["新标题"], "another change keeps the words");
}
