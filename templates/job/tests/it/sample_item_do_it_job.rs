//! The job `DoItSampleItem`.

use mainstay_kernel::{queue, unit_of_work::Work};
use my_module::sample_item::{do_it_job::DoItSampleItem, model::SampleItemId};

use crate::{sample_items, start};

#[tokio::test]
async fn a_job_that_runs_twice_has_one_effect() {
    let server = start().await;
    let customer = server.customer().await;
    let sample_item = sample_items::create(&customer).await;
    let id = sample_item["id"].as_str().expect("an id");
    let path = format!("{}/{id}", sample_items::COLLECTION);
    let job = DoItSampleItem { sample_item: SampleItemId::parse(id).expect("a UUID"), version: 1 };
    for _ in 0..2 {
        let enqueue = async move |work: &mut Work| queue::enqueue(work.connection().await?, &job).await;
        server.app().database.transaction(enqueue).await.expect("it is enqueued");
        server.run_jobs().await;
        assert_eq!(customer.get(&path).await.data()["version"], "2");
    }
    assert_eq!(server.database().sql("SELECT count(*) FROM jobs").await, ["0"]);
}
