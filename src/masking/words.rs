//! The words that say what a number beside them is, in many languages, and those that say it is something else.
//!
//! `a|b c|d*`: alternatives; a space stands for a space, `_`, `-` or nothing (so that names of fields match);
//! `*` at an end lets a word go on there (Telefon*: Telefonnummer, *nummer: Kontonummer).

/// What a word says about what stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Phone,
    Card,
    Ssn,
    Sin,
    Birth,
    Wallet,
    Ip,
    Mac,
    Iban,
    /// Where a telephone stands, behind its number.
    PhonePlace,
    /// A number of something: no phone, no card, no person.
    Count,
    /// A number of a release.
    Version,
    /// Something happened, and not a birth.
    Event,
    National(Nation),
    Passport,
    /// The name of a secret, to be read as a whole identifier.
    Secret,
    /// The beginning of a token of a known provider: the index in `token::PREFIXES`.
    Prefix(u8),
    /// A program, function or user beside which a password stands without a name.
    Argument,
    /// `-----BEGIN`
    Pem,
    /// `eyJ`
    Jwt,
    /// `://`
    Scheme,
    /// `Basic`, before encoded credentials
    Basic,
    Aws,
    /// Before a person's name.
    Honorific,
    /// A field or phrase that a person's name follows.
    NameLabel,
    /// A phrase that follows a person's name.
    NameAfter,
}

/// Whose national number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nation {
    Any,
    UkNino,
    UkNhs,
    France,
    Germany,
    Spain,
    Italy,
    Netherlands,
    Poland,
    Sweden,
    Norway,
    Denmark,
    Finland,
    Belgium,
    Portugal,
    Brazil,
    India,
    Australia,
    Japan,
    Korea,
    China,
    Singapore,
    SouthAfrica,
    Mexico,
    Argentina,
    Chile,
    Turkey,
    Israel,
    Russia,
    Romania,
    Bulgaria,
    Czechia,
    Greece,
    Croatia,
    Ireland,
    Baltics,
    Switzerland,
    Austria,
    HongKong,
    Taiwan,
    Malaysia,
    Thailand,
    Indonesia,
    Hungary,
    FormerYugoslavia,
    Ukraine,
    Colombia,
    Philippines,
    Vietnam,
    Peru,
    Ecuador,
    Iceland,
    Pakistan,
    Emirates,
    Saudi,
    Nigeria,
    Kazakhstan,
    Iran,
    Egypt,
    UsItin,
    UsMedicare,
}

use Nation as N;

pub(super) const WORDS: &[(Tag, &str)] = &[
    (
        Tag::Phone,
        "phone|phones|telephone|tel|tels|telno|phone no|phone number|mobile|mobiles|mobile no|cell|cellphone|cellular|\
         landline|call|calls|called|calling|callback|text|texted|sms|ring|rang|dial|dialed|dialled|fax|whatsapp|\
         whats app|signal|viber|telegram|hotline|helpline|contact number|contact no|reach|reachable|voicemail|pager|\
         msisdn|ph|mob|cel|wa|home number|work number|extension|handset|caller|callerid|caller id|imessage|facetime|\
         reach me at|reach me on|contact me on|contact us on|my number|your number|his number|her number|our number|\
         new number|their number|answering at|answers at",
    ),
    (
        Tag::Phone,
        "telefon*|telephon*|rufnummer*|rückruf*|handy|handynummer|handynr|mobil|mobilfunk*|mobilnummer|mobiltelefon|\
         anrufen|anruf|rufen|ruf|erreichbar|erreichen|durchwahl|festnetz*|*telefon|nummer lautet|fon|telefonisch|\
         téléphone*|telephone*|tél|portable|appelez|appeler|appelle|appel|joindre|joignable|rappeler|rappelez|\
         numéro de tél*|fixe|teléfono*|telefono*|tlf|tfno|móvil|movil|celular|llámame|llamame|llámeme|llámanos|llamar|\
         llame|llama|llamada|contacto|marque|telefone*|telemóvel|telemovel|ligue|ligar|liga|ligação|fixo|zap|\
         cellulare|cell|chiamami|chiamare|chiama|chiami|chiamata|recapito|telefoon*|tel nr|mobiel*|bel|bellen|\
         belt|gsm|bereikbaar|komórka|komórkowy|zadzwoń|dzwonić|dzwoń|kom|nr tel*|ringa|ringer|mobilnr|tlfnr|\
         mobiltelefon*|telefonnr|puhelin*|soita|soittaa|matkapuhelin*|gsm|telefonunuz|cep|arayın|τηλέφωνο|κινητό",
    ),
    (
        Tag::Phone,
        "телефон*|тел|моб|мобильный|мобильного|звоните|звонить|позвоните|позвонить|сотовый|факс|номер для связи|\
         電話*|電話番号|携帯*|连絡先|電話號碼|电话*|手机*|手機*|联系电话|致电|拨打|传真|座机|連絡先|전화*|휴대폰*|연락처|핸드폰|\
         هاتف|جوال|الهاتف|טלפון|נייד|फोन|मोबाइल|फ़ोन",
    ),
    (
        Tag::Card,
        "card|cards|card no|card number|credit card|creditcard|debit card|cc|ccnum|cc number|pan|visa|mastercard|amex|\
         american express|discover|diners|jcb|unionpay|maestro|charge|charged|cvv|cvc|expiry|exp|expires|valid thru|\
         kreditkarte*|karte|kartennummer|bankkarte|carte|carte bancaire|cb|tarjeta*|cartão|cartao|carta|carta di \
         credito|creditkaart|kaart|karta|karty|kredittkort*|kreditkort*|kort|kortnummer|kortti|luottokortti|карта|\
         карты|карту|カード*|カード番号|クレジットカード|信用卡|银行卡|卡号|카드|카드번호",
    ),
    (
        Tag::Ssn,
        "ssn|ssns|ss no|ss number|soc sec|social security|social security no|social security number|socialsecurity|\
         us ssn|taxpayer|taxpayer id|tin|tax id|w-2|w2|1099|ssa|social sec|social|itin|seguro social|número de seguro \
         social",
    ),
    (
        Tag::Sin,
        "sin|sins|sin no|sin number|sin card|social insurance|social insurance no|social insurance number|nas|\
         numéro d'assurance sociale|numero d'assurance sociale|assurance sociale|t4|t4a|cra|canadian sin|n.a.s",
    ),
    (
        Tag::Birth,
        "dob|d.o.b|date of birth|birth date|birthdate|birthday|birth day|born|born on|bday|b-day|birthdays|geboren|\
         geboren am|geburtsdatum|geburtstag|geb|geb.dat|né le|née le|né|née|date de naissance|naissance|nascido|nascida|\
         data de nascimento|nascimento|fecha de nacimiento|nacido|nacida|nacimiento|nació|f. nac|nato|nata|nato il|nata \
         il|data di nascita|nascita|geboortedatum|geboren op|geboorte datum|geb datum|data urodzenia|urodzony|urodzona|\
         ur|född|födelsedatum|född den|født|fødselsdato|født den|syntynyt|syntymäaika|syntymäpäivä|дата рождения|родился|\
         родилась|рожд|年月日|生まれ|生年月日|誕生日|出生日期|出生|生日|생년월일|생일|doğum tarihi|datum rođenja|datum narození|\
         narozen|narozena|születési*|ημερομηνία γέννησης|data nasterii|data nașterii|personal birth",
    ),
    (
        Tag::Wallet,
        "coin|coins|btc|bitcoin*|eth|ether|ethereum|wallet*|crypto*|usdt|usdc|ltc|litecoin|doge|dogecoin|xmr|monero|tron|trx|xrp|\
         ripple|sol|solana|ada|cardano|satoshi*|blockchain|deposit address|payout address|metamask|bch|bnb|polygon|\
         donation*|donate|кошелек|кошелёк|cartera|portefeuille|ウォレット|钱包",
    ),
    (
        Tag::Ip,
        "ip|ips|ipv4|ipv6|ip address|ip addr|ipaddr|addr|address|host|hosts|server|client|remote|remote addr|src|dst|\
         source|destination|gateway|dns|nameserver|ping|pinged|traceroute|ssh|login|from|connect*|bind|listen|peer|\
         upstream|firewall|subnet|netmask|ip-adresse|adresse ip|dirección ip|indirizzo ip|whitelist|allowlist|block|\
         blocked|x-forwarded-for|forwarded|x-real-ip|endpoint|http|https|resolve*|record|vpn|router|nat|dhcp*|ban*|\
         адрес|айпи|アドレス|地址",
    ),
    (
        Tag::Mac,
        "mac|mac address|macaddr|hwaddr|ether|hardware address|lladdr|bssid|physical address|wifi|wlan|ethernet|device|arp",
    ),
    (Tag::Iban, "iban*|account|konto*|kontonummer|compte|cuenta|conto|rekening*|conta|rachunek|konta"),
    (
        Tag::Count,
        "p/n|s/n|pn|sn|item no|percent|times|people|order|orders|order no|order number|order id|orderid|invoice|invoices|ticket|tickets|case|case no|part|part no|\
         part number|partno|model|model no|model number|sku|skus|serial|serial no|serial number|tracking|tracking no|\
         tracking number|reference|reference no|reference number|ref|refs|isbn|isbn-10|isbn-13|issn|ean|upc|gtin|asin|issue|issues|pr|\
         pull request|commit|commits|job|jobs|pid|batch|lot|oid|epoch|timestamp|ts|unix time|population|meter|reading|\
         kwh|amount|total|totals|subtotal|price|cost|costs|weight|height|port|ports|rfc|iso|coordinates|coordinate|lat|\
         lon|lng|latitude|longitude|bytes|size|offset|line|row|rows|room|rooms|flight|zip|postcode|hash|sha|sha1|sha256|\
         md5|checksum|etag|uuid|guid|correlation|request id|requestid|trace id|trace|span|session id|build|chapter|\
         section|page|pages|paragraph|article|figure|table|score|ratio|range|divided|multiplied|times|plus|minus|sum|\
         compute|calculate|count|counter|qty|quantity|item|product|catalog|catalogue|barcode|po number|purchase order|\
         shipment|parcel|consignment|awb|waybill|transaction|transaction id|txn|receipt|docket|patent|iteration|seed|\
         duration|elapsed|ms|seed|index|sequence|seq|offset|position|dimension|resolution|pixel|pixels|px|nonce|block \
         height|edition|volume|vol|issn|doi|pmid|arxiv|licence plate|goroutine|thread|port|exit code|error code|error|\
         code|status|level|year|years|quarter|budget|revenue|sales|users|yen|euro|euros|eur|usd|gbp|dollars|pounds|\
         rupees|inr|jpy|cny|nok|sek|dkk|pln|chf|million|billion|thousand|steps|votes|views|followers|likes|tokens|\
         words|characters|rpm|hz|mhz|ghz|kb|mb|gb|tb|km|kg|cm|mm|miles|meters|metres|request|req|message id|msgid|policy \
         no|policy number|claim|claim no|voucher|coupon|vin|imei|imsi|iccid|chassis|registration|vat|vat number|duns|lei|swift",
    ),
    (
        Tag::Count,
        "bestell*|bestellnummer|auftrag*|auftragsnummer|rechnung*|rechnungsnummer|kundennummer|kunden-nr|artikel*|\
         artikelnummer|seriennummer|sendungsnummer|vorgang*|aktenzeichen|betrag|preis|summe|einwohner|stück|commande|\
         n° de commande|facture*|numéro de suivi|référence|réf|montant|prix|dossier|colis|habitants|pedido|factura|\
         número de pedido|referencia|importe|precio|expediente|habitantes|ordine|fattura|numero d'ordine|riferimento|\
         importo|prezzo|pratica|abitanti|bestelling*|bestelnummer|factuur*|klantnummer|bedrag|prijs|zaaknummer|zamówienie|\
         zamówienia|nr zamówienia|faktura*|kwota|cena|ordre*|ordrenummer|fakturanummer|beløp|sak|saksnummer|kundenummer|\
         order nr|ordernummer|fakturanr|belopp|ärende*|sagsnummer|tilaus*|tilausnumero|lasku|заказ*|заказа|счет|счёт|\
         номер заказа|артикул|сумма|цена|注文*|注文番号|請求書|金額|訂單|订单*|订单号|发票|金额|주문*|주문번호|fatura|nota fiscal|\
         protocolo|valor|processo|encomenda|nº do pedido",
    ),
    (
        Tag::Version,
        "version|versions|versión|versione|versie|wersja|versjon|ver|v|build|release|released|releases|firmware|\
         driver|chrome|firefox|safari|edge|windows|macos|linux|kernel|upgrade|upgraded|update|downgrade|patch|patched|\
         agent|sdk|runtime|package|plugin|chapter|section|oid|clause|paragraph|art|§|sec|assembly|fileversion|\
         productversion|assemblyversion|dll|pip|npm|snmp|mib|asn.1|версия|версии|バージョン|版本|버전|abschnitt|kapitel",
    ),
    (
        Tag::PhonePlace,
        "office|home|work|desk|reception|direct|privat|büro|bureau|domicile|oficina|casa|ufficio|kantoor|praca|kontor",
    ),
    (
        Tag::Event,
        "effective|must|before|after|older|dated|since|until|invoice|founded|established|launched|published|died|deceased|opened|signed|issued|released|seen|updated|created|visited|hired|joined|admitted|expires|expired|due|gestorben|gegründet|fondée|fundada|décédé|decedido",
    ),
    (
        Tag::Passport,
        "passport|passport no|passport number|passnummer|reisepass*|reisepassnummer|passeport|n° de passeport|pasaporte|passaporto|passaporte|paspoort*|paszport*|pass nr|паспорт*|パスポート*|旅券番号|护照*|여권*|driver's license|drivers license|driving licence|driver license|driving license|driver's licence|dl no|license number|licence number|führerschein*|permis de conduire|id card|identity card|id card no|personalausweis*|ausweisnummer|carte d'identité|dni|carta d'identità|identity document|medical record no|mrn|medical record number",
    ),
    (
        Tag::National(N::Any),
        "national id|national identification|national insurance number|national id no|national number|personal identity number|personal id|identity number|id number|identification number|citizen id|government id|resident id|tax number|fiscal code|tax identification number|tax file number|personal number|personal code",
    ),
    (Tag::National(N::UkNino), "nino|national insurance|national insurance no|ni no|ni number|n.i"),
    (Tag::National(N::UkNhs), "nhs|nhs no|nhs number|nhsnumber|health service number|chi number"),
    (
        Tag::National(N::France),
        "nir|sécurité sociale|securite sociale|numéro de sécurité sociale|numéro de sécu|n° sécu|insee|carte vitale|numéro fiscal|sécu",
    ),
    (
        Tag::National(N::Germany),
        "steuer-id|steuerid|steuer id|steueridentifikationsnummer|steuer-identifikationsnummer|steuerliche identifikationsnummer|identifikationsnummer|idnr|steuernummer|tax id|steuer-idnr|rentenversicherungsnummer|sozialversicherungsnummer|rvnr|sv-nummer|versicherungsnummer",
    ),
    (Tag::National(N::Spain), "dni|nif|nie|documento nacional|documento de identidad|número de identificación"),
    (Tag::National(N::Italy), "codice fiscale|cod. fisc|c.f|cf|codicefiscale"),
    (Tag::National(N::Netherlands), "bsn|burgerservicenummer|sofinummer|sofi"),
    (Tag::National(N::Poland), "pesel|nip|regon"),
    (Tag::National(N::Sweden), "personnummer|personnr|pnr|samordningsnummer|swedish personal number"),
    (
        Tag::National(N::Norway),
        "fødselsnummer*|fodselsnummer|fnr|fødselsnr|personnummer|d-nummer|norwegian id|personnr",
    ),
    (Tag::National(N::Denmark), "cpr|cpr-nummer|cpr nr|personnummer|cpr no|cprnr"),
    (Tag::National(N::Finland), "henkilötunnus*|hetu|henkilotunnus|henkilötunnukseni|personbeteckning"),
    (
        Tag::National(N::Belgium),
        "rijksregisternummer|rijksregister*|numéro de registre national|registre national|insz|niss|nrn|numéro national",
    ),
    (
        Tag::National(N::Portugal),
        "nif|contribuinte|número de contribuinte|nº contribuinte|número fiscal|niss|nº de contribuinte",
    ),
    (Tag::National(N::Brazil), "cpf|cnpj|pis|pasep|cadastro de pessoa*"),
    (
        Tag::National(N::India),
        "aadhaar*|aadhar*|uidai|uid|pan|pan no|pan card|pan number|permanent account number|आधार*|income tax",
    ),
    (
        Tag::National(N::Australia),
        "tfn|tax file number|tax file no|medicare|medicare number|medicare card|medicare no|ihi",
    ),
    (Tag::National(N::Japan), "my number|mynumber|マイナンバー*|個人番号*|my-number|kojin bango"),
    (
        Tag::National(N::Korea),
        "rrn|주민등록번호*|주민번호*|resident registration|resident registration number|외국인등록번호",
    ),
    (
        Tag::National(N::China),
        "身份证*|身份证号*|身分證*|居民身份证|resident identity|chinese id|shenfenzheng|resident id",
    ),
    (Tag::National(N::Singapore), "nric|fin|singapore id|nric no"),
    (Tag::National(N::SouthAfrica), "said|sa id|south african id|id number|id no|rsa id|south africa id"),
    (Tag::National(N::Mexico), "curp|rfc"),
    (Tag::National(N::Argentina), "cuil|cuit|dni"),
    (Tag::National(N::Chile), "rut|run|r.u.t"),
    (Tag::National(N::Turkey), "tckn|tc kimlik*|kimlik no|t.c. kimlik no|kimlik numarası"),
    (Tag::National(N::Israel), "teudat zehut|תעודת זהות|israeli id|ת.ז|מספר זהות"),
    (Tag::National(N::Russia), "инн|снилс|inn|snils"),
    (Tag::National(N::Romania), "cnp|cod numeric personal"),
    (Tag::National(N::Bulgaria), "egn|егн"),
    (Tag::National(N::Czechia), "rodné číslo*|rodne cislo|rč|r.č|birth number"),
    (Tag::National(N::Greece), "amka|αμκα|αφμ|afm"),
    (Tag::National(N::Croatia), "oib"),
    (Tag::National(N::Ireland), "pps|ppsn|pps number|pps no|personal public service"),
    (Tag::National(N::Baltics), "isikukood*|asmens kodas*|personas kods*"),
    (Tag::National(N::Switzerland), "ahv|avs|ahv-nummer|ahv-nr|numéro avs|ahvn13|oasi"),
    (Tag::National(N::Austria), "svnr|sozialversicherungsnummer|sv-nummer|sv-nr"),
    (Tag::National(N::HongKong), "hkid|hong kong id|香港身份證*|hkid no"),
    (Tag::National(N::Taiwan), "taiwan id|身分證字號*|身分證*|統一編號"),
    (Tag::National(N::Malaysia), "nric|mykad|ic no|ic number|kad pengenalan|no. kp|no kp"),
    (Tag::National(N::Thailand), "thai id|เลขบัตรประชาชน*|เลขประจำตัวประชาชน*|thai national id"),
    (Tag::National(N::Indonesia), "nik|ktp|nomor induk kependudukan|no ktp"),
    (Tag::National(N::Hungary), "adóazonosító*|taj*|taj szám|személyi szám"),
    (Tag::National(N::FormerYugoslavia), "emšo|emso|jmbg|јмбг|matični broj|embg"),
    (Tag::National(N::Ukraine), "іпн|рнокпп|ідентифікаційний код|ипн"),
    (Tag::National(N::Colombia), "nuip|cédula*|cedula*|cédula de ciudadanía"),
    (Tag::National(N::Philippines), "sss|sss no|sss number|philhealth|umid|philsys"),
    (Tag::National(N::Vietnam), "cccd|cmnd|căn cước*"),
    (Tag::National(N::Peru), "dni"),
    (Tag::National(N::Ecuador), "cédula*|cedula*"),
    (Tag::National(N::Iceland), "kennitala*|kt"),
    (Tag::National(N::Pakistan), "cnic|nicop"),
    (Tag::National(N::Emirates), "emirates id|eid"),
    (Tag::National(N::Saudi), "iqama|saudi id|national id|رقم الهوية"),
    (Tag::National(N::Nigeria), "nin|bvn|nin number"),
    (Tag::National(N::Kazakhstan), "иин|жсн|iin"),
    (Tag::National(N::Iran), "کد ملی|melli code|kod melli"),
    (Tag::National(N::Egypt), "الرقم القومي|egyptian id"),
    (Tag::National(N::UsItin), "itin|individual taxpayer*"),
    (Tag::National(N::UsMedicare), "mbi|medicare beneficiary*|medicare number|medicare id|medicare"),
    (Tag::Aws, "aws*|amazon*|secret access key|secretaccesskey|secretkey|secret key|s3"),
    (
        Tag::Argument,
        "mysql|mysqldump|mysqladmin|mariadb|sshpass|redis-cli|mongo|mongosh|mongodump|docker login|ldapsearch|ldapmodify|\
         ldapadd|sqlcmd|bcp|smbclient|unzip|zip|7z|curl|http|openssl|login|auth|authenticate|basicauth|httpbasicauth|set_auth|\
         convertto-securestring|*@tcp(*|*@unix(*|jdbc:oracle:thin:*|root|admin|administrator|postgres|sa|ubuntu",
    ),
    (Tag::Pem, "-----begin*"),
    (Tag::Jwt, "eyj*"),
    (Tag::Scheme, "://"),
    (Tag::Basic, "basic"),
    (
        Tag::Secret,
        "*password*|*passwd*|*passwort*|*kennwort*|*passphrase*|*secret*|*token*|*apikey*|*api key*|*api-key*|*access key*|*auth key*|\
         *authkey*|*private key*|*signing key*|*encryption key*|*master key*|*service key*|*account key*|*accountkey*|\
         *storage key*|*shared key*|*sharedaccesskey*|*license key*|*webhook key*|*webhook secret*|*encrypt key*|*app key*|*appkey*|*client key*|*session key*|*subscription key*|*deploy key*|*hmac key*|*jwt key*|*key material*|pwd|*_pwd|*db pwd|\
         *_pass|pass|pw|pswd|psw|*credential*|*bearer*|authorization*|*auth|*_pat|pat|*cookie*|*session id|sessionid|\
         *signature|pin|passcode|*passkey*|unlock code*|access code|door code|gate code|alarm code|safe code|pin code|code wifi|mot de passe*|mdp|contraseña*|contrasena*|clave|senha*|wachtwoord*|hasło*|haslo*|\
         lösenord*|losenord*|passord*|adgangskode*|kodeord*|salasana*|parola*|heslo*|jelszó*|jelszav*|şifre*|mật khẩu|kata sandi|lozinka|лозинка|κωδικός|geslo|parole|slaptažodis|parool|api-schlüssel*|api schlüssel*|clé api|clé d'api|clé secrète|chiave api|clave api|chave api|chave da api|chave de api|klucz api|api-nyckel*|api-nøkkel*|api-nøgle*|api-sleutel*|api-avain|api anahtarı|ключ api|api-ключ|apiキー|api 키|api密钥|пароль*|пароля|токен*|ключ|\
         секрет*|パスワード*|暗証番号|トークン|シークレット|密码*|密碼*|口令|令牌|密钥*|비밀번호*|토큰|identified by|*salt|*_key|*-key|*key|sig|*seed phrase|seed|mnemonic|*recovery phrase",
    ),
    (
        Tag::Honorific,
        "mr|mrs|ms|miss|mx|dr|prof|professor|doctor|sir|madam|herr|herrn|frau|monsieur|madame|mme|mlle|señor|señora|sr|sra|srta|don|doña|signor|signora|sig|sig.ra|dott|dott.ssa|dhr|mevr|mevrouw|meneer|pan|pani|hr|fru|rev|hon|capt|sgt|lt|nurse|judge|г-н|г-жа|господин|госпожа",
    ),
    (
        Tag::NameLabel,
        "full name|fullname|fn|zugunsten von|on account of|payable to|pay to|first name|firstname|last name|lastname|surname|given name|family name|middle name|customer name|patient name|contact name|employee name|client name|cardholder|cardholder name|card holder|account holder|holder name|name on card|display name|recipient name|sender name|user full name|legal name|maiden name|guest name|student name|applicant name|passenger name|tenant name|beneficiary name|name|names|patient|customer|applicant|employee|passenger|tenant|beneficiary|attendee|attendees|contact|contact person|signed by|signed|author|from|dear|hi|hello|hey|regards|best regards|kind regards|sincerely|yours sincerely|cheers|best|thanks|my name is|i am called|called|named|ask for|asked for|speak to|speak with|spoke to|spoke with|on behalf of|attn|attention|c/o|cc|reminder to|email to|meeting with|call with|interview with|ship it to|ship to|deliver to|sold to|bill to|billed to|reported by|assigned to|assignee|reviewed by|approved by|written by|prepared by|created by|born to|ich heiße|mein name ist|name ist|sehr geehrter|sehr geehrte|liebe|lieber|kunde|kundin|patientin|ansprechpartner|vorname|nachname|mit freundlichen grüßen|viele grüße|je m'appelle|nom|prénom|au nom de|cher|chère|cordialement|client|cliente|titulaire|me llamo|mi nombre es|nombre|nombre completo|apellido|apellidos|a nombre de|a favor de|estimado|estimada|querido|querida|saludos|atentamente|mi chiamo|nome|cognome|nome e cognome|intestato a|a favore di|gentile|caro|cara|cordiali saluti|meu nome é|nome completo|em nome de|prezado|prezada|atenciosamente|mijn naam is|naam|achternaam|voornaam|op naam van|beste|geachte|met vriendelijke groet|nazywam się|imię i nazwisko|nazwisko|na nazwisko|szanowny panie|pozdrawiam|jag heter|namn|kära|hälsningar|jeg heter|mit navn er|navn|hilsen|kjære|kære|nimeni on|nimi|меня зовут|имя|фамилия|фио|уважаемый|уважаемая|с уважением|к вам обращается",
    ),
    (
        Tag::NameAfter,
        "wrote|asked whether|called about|signed the|said that|approved the|reported that|confirmed that|schrieb|a écrit|escribió|ha scritto|escreveu|schreef|napisał|skrev|написал|написала",
    ),
];
