//! The subjects of the sample data: a shop for office equipment, its agents, and its customers.

pub mod texts;
pub mod timeline;

use crate::{
    identity::user::model::Role,
    orders::product::model::Interval::{self, Month, Year},
};

/// The domain of all sample people. No mail can be delivered to it (RFC 2606), so no person can confirm an address
/// there.
pub const DOMAIN: &str = "sample.invalid";
/// The suffix of the names of sample accounts, products and keys.
pub const MARK: &str = " (sample)";
/// An internal note of an agent.
pub const NOTE: &str = "The second request of this kind this month. Please tell the product team.";
/// The canned answers of the agents: name, without the mark, and text.
pub const ANSWERS: [(&str, &str); 3] = [
    (
        "Ask for the serial number",
        "Dear {{customer.name}},\n\nthank you for your message about \u{201c}{{ticket.subject}}\u{201d}. Please send us the serial number; it is on the \
         label below the seat or the desktop.\n\nKind regards\n{{agent.name}}",
    ),
    (
        "Replacement is on its way",
        "Dear {{customer.name}},\n\nthe replacement leaves our warehouse today. You need not return the old part.\n\nKind \
         regards\n{{agent.name}}",
    ),
    (
        "Seriennummer erfragen",
        "Guten Tag {{customer.name}},\n\nbitte senden Sie uns die Seriennummer; sie steht auf dem Etikett unter der Sitzfläche \
         oder der Tischplatte.\n\nMit freundlichen Grüßen\n{{agent.name}}",
    ),
];
/// The file of a customer: its name, its text, and the comment that it is attached to.
pub const ATTACHMENT: (&str, &str, &str) = (
    "delivery-note.txt",
    "Delivery note 20471\n\n4 x Office chair\n2 x Standing desk, 160 cm\n1 x Monitor arm (missing on arrival)\n",
    "I have attached the delivery note. The last item is the one that was missing.",
);
/// The name of a role of the staff, without the mark.
pub const STAFF_ROLE: &str = "Refunds";
/// The days that the sample data covers.
pub const DAYS: i64 = 90;

/// A person, the only user of an account.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    pub name: &'static str,
    /// The name of the account, without the mark.
    pub company: &'static str,
    pub role: Role,
    /// The language of mail to the person and of tickets by the person.
    pub language: &'static str,
}

impl Person {
    /// Returns the address, derived from the name.
    pub fn email(&self) -> String {
        let plain =
            self.name.to_lowercase().replace('ä', "ae").replace('ö', "oe").replace('ü', "ue").replace('ß', "ss");
        format!("{}@{DOMAIN}", plain.replace(' ', "."))
    }
}

const fn agent(name: &'static str) -> Person {
    Person { name, company: name, role: Role::Agent, language: "en" }
}

const fn customer(name: &'static str, company: &'static str, language: &'static str) -> Person {
    Person { name, company, role: Role::Customer, language }
}

/// A person who is invited to the account of the first busy customer, and has not accepted.
pub const INVITED: Person = customer("Nora Lindt", "", "en");

/// The agents, who also write the posts.
pub const AGENTS: [Person; 4] = [agent("Jonas Weber"), agent("Maya Okafor"), agent("Lena Vogt"), agent("Tom Hayes")];

/// The customers, oldest first. The customers with webhook endpoints have the most activity.
pub const CUSTOMERS: [Person; 14] = [
    customer("Helen Marsh", "Harbour Analytics", "en"),
    customer("Anna Keller", "Nordwind Logistik GmbH", "de"),
    customer("Peter Novak", "Novak & Daughters", "en"),
    customer("Sara Lindqvist", "Fjord Media", "en"),
    customer("Markus Brandt", "Brandt Steuerberatung", "de"),
    customer("Grace Mbeki", "Open Fields Co-op", "en"),
    customer("Julia Hofmann", "Praxis am Markt", "de"),
    customer("Daniel Ortega", "Ortega Architects", "en"),
    customer("Nina Petrova", "Bluebird Travel", "en"),
    customer("Stefan Krüger", "Krüger Maschinenbau AG", "de"),
    customer("Ella Thompson", "Thompson Legal", "en"),
    customer("Jürgen Weiß", "Stadtwerke Lindau", "de"),
    customer("Ravi Shah", "Shah Robotics", "en"),
    customer("Chloe Bernard", "Atelier Bernard", "en"),
];

/// The index of the customer who asked for the deletion of the account, and canceled it: one without a subscription.
pub const UNDECIDED: usize = 12;

/// The last person to be written: the sample data is complete once this person exists.
pub const NEWCOMER: Person = customer("Oliver Grant", "Grant Studio", "en");

/// A product, without the mark.
#[derive(Debug, Clone, Copy)]
pub struct Article {
    pub name: &'static str,
    pub currency: &'static str,
    /// The price, in the smallest unit of the currency.
    pub price_minor: i64,
    /// The billing interval; `None` for a product that is ordered.
    pub interval: Option<Interval>,
}

const fn article(name: &'static str, currency: &'static str, price_minor: i64) -> Article {
    Article { name, currency, price_minor, interval: None }
}

const fn plan(name: &'static str, price_minor: i64, interval: Interval) -> Article {
    Article { name, currency: "EUR", price_minor, interval: Some(interval) }
}

/// Products for orders, in euros.
pub const ARTICLES: [Article; 6] = [
    article("Standing desk 160", "EUR", 64_900),
    article("Task chair", "EUR", 38_500),
    article("Monitor arm", "EUR", 11_900),
    article("Docking station", "EUR", 18_950),
    article("Headset", "EUR", 14_900),
    article("Desk lamp", "EUR", 7_490),
];

/// Products for orders from overseas, in dollars.
pub const EXPORTS: [Article; 2] = [article("Task chair (US)", "USD", 42_900), article("Desk lamp (US)", "USD", 8_900)];

/// Products for subscriptions.
pub const PLANS: [Article; 3] = [
    plan("Care plan", 2_900, Month),
    plan("Desk booking, 25 seats", 9_900, Month),
    plan("Care plan, yearly", 29_000, Year),
];

/// A file of tickets to import; two of its rows are invalid.
pub const IMPORT: &str = include_str!("model/tickets.csv");

/// The name of the service key, without the mark.
pub const SERVICE_KEY: &str = "Reports";

/// Events received from a provider, by the suffixes of their ids and their kinds.
pub const INBOUND: [(&str, &str); 3] = [("1", "parcel.shipped"), ("2", "parcel.delivered"), ("3", "parcel.returned")];

/// The prefix of the ids of these events.
pub const INBOUND_PREFIX: &str = "sample-event-";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::user::model::EmailAddress;

    #[test]
    fn every_person_has_an_address_that_no_other_has() {
        let people = AGENTS.iter().chain(&CUSTOMERS).chain([&NEWCOMER]);
        let mut addresses: Vec<_> = people.map(Person::email).collect();
        addresses.iter().for_each(|address| drop(EmailAddress::parse(address).expect("an address")));
        addresses.sort_unstable();
        let count = addresses.len();
        addresses.dedup();
        assert_eq!(addresses.len(), count);
    }
}
