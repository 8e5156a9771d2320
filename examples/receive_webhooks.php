<?php
// Take the webhooks of `aigc forward` in PHP: `php -S 127.0.0.1:18092 examples/receive_webhooks.php`. No package.
//
// The signature is verified with AIGC_FORWARD_SECRET. Any 2xx says that the message is safe here: so write it
// down before that. It may come again, under the same id: keep the ids in a table, as its key, and write it
// in one transaction with the rest.
declare(strict_types=1);

// Whether one of our secrets signed these bytes within the last five minutes.
function is_genuine(string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $sentAt = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!ctype_digit($sentAt) || abs(time() - (int) $sentAt) > 300) {
        return false;
    }
    $theirs = explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '');
    foreach (preg_split('/\s+/', trim((string) getenv('AIGC_FORWARD_SECRET'))) as $secret) {
        $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
        $ours = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$sentAt.$body", $key, true));
        foreach ($theirs as $each) {
            if (hash_equals($ours, $each)) {
                return true;
            }
        }
    }
    return false;
}

$body = (string) file_get_contents('php://input'); // the bytes as they came: they are what was signed
if (!is_genuine($body)) {
    http_response_code(401);
    return;
}
$webhook = json_decode($body, true, 512, JSON_THROW_ON_ERROR);
file_put_contents('php://stdout', "{$_SERVER['HTTP_WEBHOOK_ID']} {$webhook['type']} " . json_encode($webhook['data']) . "\n");
http_response_code(204);
