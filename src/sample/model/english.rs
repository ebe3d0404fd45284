//! Tickets in English.

use super::conversations::Conversation;
use crate::support::ticket::model::{
    Kind::{Change, Incident, Problem, Request},
    Priority::{High, Low, Medium, Urgent},
};

const TECHNICAL: &str = "Technical Support";
const BILLING: &str = "Billing and Payments";
const RETURNS: &str = "Returns and Exchanges";
const SERVICE: &str = "Customer Service";
const SALES: &str = "Sales and Pre-Sales";

pub(super) const ENGLISH: [Conversation; 28] = [
    Conversation {
        subject: "Standing desk stops halfway up",
        body: "Since this morning the desk moves up to about 95 cm and then stops with two beeps. The display shows E08. \
               I unplugged it for ten minutes; that did not help.",
        kind: Incident,
        priority: High,
        queue: TECHNICAL,
        tags: &["desk", "motor"],
        comments: &[
            "E08 means that the two legs are at different heights. Please hold the down button for ten seconds until the \
             desk has reached its lowest position and the display shows ASR. Does it move freely after that?",
            "It does. It was a little crooked before, I had not noticed.",
            "Good to hear. If the code comes back within a week, answer here and we replace the left motor.",
        ],
    },
    Conversation {
        subject: "Invoice shows our old VAT number",
        body: "Our VAT number changed in January. The invoice of last week still carries the old one, and our auditors do not \
               accept it. Please send a corrected invoice.",
        kind: Request,
        priority: Medium,
        queue: BILLING,
        tags: &["invoice", "vat"],
        comments: &[
            "I have changed the number in your account. The corrected invoice went out by e-mail a minute ago; the old one is \
             void.",
            "Received, thank you.",
        ],
    },
    Conversation {
        subject: "Headset connects, but there is no sound in calls",
        body: "The headset pairs with my laptop and plays music. In calls nobody hears me, and I hear nobody. Two colleagues \
               with the same model have the same problem since the last system update.",
        kind: Problem,
        priority: High,
        queue: TECHNICAL,
        tags: &["headset", "bluetooth"],
        comments: &[
            "The update switched many headsets to the wrong profile. In the sound settings, choose the entry that ends with \
             Hands-Free as both input and output device.",
            "That works, but the sound is now dull, as on an old telephone.",
            "That profile carries less. With the USB dongle from the box you get both; firmware 2.4 for it is on our support \
             page.",
        ],
    },
    Conversation {
        subject: "Order arrived with one monitor arm too few",
        body: "We ordered eight monitor arms and received seven. The delivery note says eight. All cartons were closed.",
        kind: Incident,
        priority: Medium,
        queue: RETURNS,
        tags: &["delivery", "missing"],
        comments: &[
            "I am sorry about that. The weight in the carrier's records shows that one box was never loaded. A replacement \
             leaves our warehouse today.",
            "It arrived this morning. Thanks for the quick help.",
        ],
    },
    Conversation {
        subject: "Can we pay by bank transfer?",
        body: "Our purchasing department does not allow card payments above 2,000 euros. Is a transfer possible, and within \
               how many days?",
        kind: Request,
        priority: Low,
        queue: BILLING,
        tags: &["payment"],
        comments: &["Yes, for orders of 500 euros or more, within 14 days. I have enabled it for your account."],
    },
    Conversation {
        subject: "Dock loses the second screen after sleep",
        body: "With two screens at the docking station, the right one stays black after the laptop wakes up. Unplugging the \
               dock and plugging it in again helps until the next time.",
        kind: Incident,
        priority: Medium,
        queue: TECHNICAL,
        tags: &["dock", "display"],
        comments: &[
            "Which laptop is it, and which cable goes to the right screen?",
            "A 14 inch model from last year, with the DisplayPort cable from the box.",
            "Firmware 1.19 fixes this for DisplayPort. The updater is on the support page and takes three minutes; please keep \
             the power supply connected meanwhile.",
        ],
    },
    Conversation {
        subject: "Quote for a meeting room",
        body: "We want to furnish a meeting room for twelve people: table, chairs, a screen on a stand. Budget is around 9,000 \
               euros. Could someone call me this week?",
        kind: Request,
        priority: Medium,
        queue: SALES,
        tags: &["quote"],
        comments: &[
            "Gladly. I have put three variants with drawings into the attached quote idea; may I call on Thursday at ten?",
            "Thursday at ten is fine.",
        ],
    },
    Conversation {
        subject: "Chair creaks when leaning back",
        body: "After four months the task chair creaks loudly each time I lean back. It is embarrassing in calls.",
        kind: Incident,
        priority: Low,
        queue: TECHNICAL,
        tags: &["chair", "warranty"],
        comments: &[
            "Please tighten the two bolts below the seat with the Allen key from the box. If that does not help, we send a new \
             mechanism under warranty.",
        ],
    },
    Conversation {
        subject: "Card was charged twice",
        body: "My statement shows two charges of the same amount on the same day. I placed only one order.",
        kind: Incident,
        priority: Urgent,
        queue: BILLING,
        tags: &["payment", "card"],
        comments: &[
            "Our records show one charge and one authorization that expired, because the first attempt was declined. Your bank \
             releases the reservation within five days. I have written down the reference for you: please come back if it is \
             still there next week.",
            "The second line has disappeared from my statement. Thank you for the explanation.",
        ],
    },
    Conversation {
        subject: "Change the delivery address of an open order",
        body: "We move on the first of the month. Please deliver the open order to the new office: 22 Quay Street, third floor.",
        kind: Change,
        priority: Medium,
        queue: SERVICE,
        tags: &["delivery", "address"],
        comments: &["Done. The carrier calls one hour before delivery, because there is a lift to be reserved."],
    },
    Conversation {
        subject: "Desk booking does not show the new floor",
        body: "We added floor 4 last week. It is visible to admins, but our people can't book desks there.",
        kind: Problem,
        priority: High,
        queue: TECHNICAL,
        tags: &["booking"],
        comments: &[
            "The floor has no opening hours yet, and without them nothing can be booked. Settings, Floors, Opening hours.",
            "That was it. Perhaps the page could say so.",
            "A fair point. I have passed it on to the team that builds it.",
        ],
    },
    Conversation {
        subject: "Return of two lamps",
        body: "The lamps are warmer than we thought. They are unused. How do we send them back?",
        kind: Request,
        priority: Low,
        queue: RETURNS,
        tags: &["return", "lamp"],
        comments: &[
            "You have 30 days. The label is in your order, below Return. The money is back on your card about three days after \
             the parcel arrives.",
        ],
    },
    Conversation {
        subject: "Desk moves by itself at night",
        body: "Twice this week a desk stood at its highest position in the morning. Nobody was in the office. This scares the \
               cleaning staff.",
        kind: Incident,
        priority: Urgent,
        queue: TECHNICAL,
        tags: &["desk", "safety"],
        comments: &[
            "Please unplug the desk until we know the cause. Is there a cable or anything else that leans against the keypad?",
            "There is a drawer right below it. When it is pushed in hard, it touches the up button.",
            "That explains it. Moving the keypad by five centimetres solves it; and please switch on the child lock, which \
             needs a long press before the desk moves.",
        ],
    },
    Conversation {
        subject: "Which arm fits a 38 inch screen?",
        body: "The screen weighs 9.2 kg without its stand and is curved. Does the monitor arm hold it?",
        kind: Request,
        priority: Low,
        queue: SALES,
        tags: &["arm"],
        comments: &[
            "It holds 3 to 11 kg. For a curved screen, please order the longer bolts as well; they are free of charge.",
        ],
    },
    Conversation {
        subject: "Care plan: how do we report a damage?",
        body: "We have had the care plan for a month. A chair has a broken armrest now. Where do we report it?",
        kind: Request,
        priority: Medium,
        queue: SERVICE,
        tags: &["care-plan", "chair"],
        comments: &[
            "Right here. A technician is near you on Wednesday between nine and noon and brings the part. Is that convenient?",
            "Wednesday is fine. Please ask for reception.",
            "The armrest is replaced. Enjoy the chair.",
        ],
    },
    Conversation {
        subject: "Cancel the order from this morning",
        body: "A colleague ordered the same. Please cancel mine, if it has not been shipped.",
        kind: Change,
        priority: Medium,
        queue: SERVICE,
        tags: &["cancel"],
        comments: &["It was still in the warehouse and is cancelled. Nothing was charged."],
    },
    Conversation {
        subject: "The docking station gets very hot",
        body: "With two screens and a fully loaded USB hub, the dock becomes so hot that I do not want to touch it. Is that \
               normal?",
        kind: Incident,
        priority: Medium,
        queue: TECHNICAL,
        tags: &["dock", "safety"],
        comments: &[
            "Up to 55 degrees at the bottom is within its limits. Does it lie flat, or behind the screen where no air moves?",
            "It lay on a felt mat. On the bare desk it is merely warm.",
        ],
    },
    Conversation {
        subject: "Invoices of the last year as one file",
        body: "For the annual accounts we need all invoices of last year. Downloading them one by one takes forever.",
        kind: Request,
        priority: Low,
        queue: BILLING,
        tags: &["invoice", "export"],
        comments: &["I have put them into one archive; the link in our mail is valid for seven days."],
    },
    Conversation {
        subject: "Missing screws in the bag of the desk",
        body: "Bag C should have eight M6 screws and has six. We stopped the assembly.",
        kind: Incident,
        priority: High,
        queue: RETURNS,
        tags: &["desk", "missing"],
        comments: &[
            "Two screws and a spare bag go out by express today. If you have M6x20 of your own: any of class 8.8 will do.",
            "Found two in the workshop, the desk stands. No express needed.",
        ],
    },
    Conversation {
        subject: "Subscription: pay yearly instead of monthly",
        body: "We would like to switch the care plan to yearly billing at the end of this period.",
        kind: Change,
        priority: Low,
        queue: BILLING,
        tags: &["subscription", "care-plan"],
        comments: &[
            "The monthly plan is set to end with its period, and the yearly one begins the day after. You save two months.",
        ],
    },
    Conversation {
        subject: "Keypad shows the height in inches",
        body: "After the power cut the desk shows inches. How do I get centimetres back?",
        kind: Request,
        priority: Low,
        queue: TECHNICAL,
        tags: &["desk"],
        comments: &["Press S for eight seconds until the display shows U; then up or down changes the unit."],
    },
    Conversation {
        subject: "Parcel has been in customs for a week",
        body: "Tracking says \"held, documents missing\" since last Monday. We need the chairs for an event on Friday.",
        kind: Incident,
        priority: Urgent,
        queue: SERVICE,
        tags: &["delivery", "customs"],
        comments: &[
            "The commercial invoice was not readable. We uploaded it again at the carrier and asked for priority. I look at it \
             again tomorrow morning.",
            "It moved! Delivery is announced for Thursday.",
        ],
    },
    Conversation {
        subject: "People who left can still book desks",
        body: "Three people left last month and still appear in the booking list. How do we remove them?",
        kind: Problem,
        priority: High,
        queue: TECHNICAL,
        tags: &["booking", "access"],
        comments: &[
            "People, select them, Deactivate. With directory sync it happens by itself; shall I switch that on for you?",
        ],
    },
    Conversation {
        subject: "Colour of the desk top differs from the picture",
        body: "We ordered oak and the top looks grey in daylight. Two people say it is fine, two say it is not.",
        kind: Request,
        priority: Low,
        queue: RETURNS,
        tags: &["desk", "return"],
        comments: &["May I send you samples of all five finishes? If another one fits better, we exchange the top."],
    },
    Conversation {
        subject: "Discount for schools",
        body: "We are a co-operative that runs two schools. Is there a discount, and what do you need from us?",
        kind: Request,
        priority: Low,
        queue: SALES,
        tags: &["quote", "discount"],
        comments: &["There is: 12 percent. A letter with your register number is enough."],
    },
    Conversation {
        subject: "Webhook for shipped orders arrives twice",
        body: "Since Tuesday our ERP gets each order twice. The bodies are equal, the webhook-id, too.",
        kind: Problem,
        priority: Medium,
        queue: TECHNICAL,
        tags: &["webhook", "api"],
        comments: &[
            "The first delivery got a timeout from your side, so it was repeated. Equal webhook-ids mean the same event: \
             please answer within ten seconds, and ignore an id that you know.",
            "Our proxy was slow indeed. We remember the ids now.",
        ],
    },
    Conversation {
        subject: "The lift of the chair sinks slowly",
        body: "Within an hour I sit ten centimetres lower than before. It started last week.",
        kind: Incident,
        priority: Medium,
        queue: TECHNICAL,
        tags: &["chair", "warranty"],
        comments: &[
            "The gas lift is worn and covered by the warranty. A new one is on its way, with a video of the exchange.",
        ],
    },
    Conversation {
        subject: "Where is my refund?",
        body: "I returned a headset twelve days ago. Tracking says that you received it. When do I get the money?",
        kind: Request,
        priority: High,
        queue: BILLING,
        tags: &["refund", "headset"],
        comments: &[
            "The parcel lay in the wrong aisle, I apologize. The refund is made; it reaches your account in two to three days.",
            "It is there. Thanks.",
        ],
    },
];
