//! The mail `my_module.do_it_sample_item`.

use mainstay::mail::ops as mail;
use mainstay_kernel::unit_of_work::Work;
use my_module::sample_item::{do_it_mail::DoItSampleItemMail, model::SampleItemId};

use crate::{sample_items, start};

#[tokio::test]
async fn each_member_gets_the_mail_once() {
    let server = start().await;
    let customer = server.customer().await;
    let sample_item = sample_items::create(&customer).await;
    let id = SampleItemId::parse(sample_item["id"].as_str().expect("an id")).expect("a UUID");
    let (account, now) = (customer.account(), server.app().clock.now());
    for _ in 0..2 {
        let send = async move |work: &mut Work| {
            mail::send_to_members::<DoItSampleItemMail>(work.connection().await?, account, id.0, now).await
        };
        server.app().database.transaction(send).await.expect("it is queued");
    }
    server.run_jobs().await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert!(mails[0].contains("Subject: News about a sample item"), "{}", mails[0]);
}
