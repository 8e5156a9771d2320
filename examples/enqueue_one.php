<?php
// Queue one job from PHP and print its id: `php examples/enqueue_one.php "a cat"`. No extension is needed.
//
// A job is one LPUSH of a Celery message. Once Redis has answered, the job is safe as far as Redis is.
// What is wrong with a payload the worker finds: its result is `rejected`. With Predis or phpredis the
// last part is `$redis->lpush('aigc', message(...))`.
declare(strict_types=1);

function message(string $jobId, array $payload, array $metadata): string
{
    $body = [[$payload], ['metadata' => (object) $metadata], (object) []];
    return json_encode([
        'body' => base64_encode(json_encode($body, JSON_THROW_ON_ERROR)),
        'content-type' => 'application/json',
        'content-encoding' => 'utf-8',
        'headers' => [
            'task' => 'tasks.submit_workflow',
            'id' => $jobId,
            'aigc-enqueued-ms' => (int) (microtime(true) * 1000),
        ],
        'properties' => [
            'delivery_tag' => bin2hex(random_bytes(16)),
            'body_encoding' => 'base64',
            'delivery_info' => ['exchange' => '', 'routing_key' => 'aigc'],
        ],
    ], JSON_THROW_ON_ERROR);
}

// One command in Redis's protocol, each word with its length in bytes; gives the first line of the answer.
function ask($redis, string ...$words): string
{
    $parts = array_map(fn (string $word): string => '$' . strlen($word) . "\r\n$word\r\n", $words);
    fwrite($redis, '*' . count($words) . "\r\n" . implode('', $parts));
    return (string) fgets($redis);
}

// Chosen beforehand: after a lost reply the same id can be queued again, and is still one purchase.
$jobId = bin2hex(random_bytes(16));
$input = ['inputText' => $argv[1] ?? 'a cat', 'width' => 1024, 'height' => 1024];
$payload = ['workflow' => 'TEXT2IMAGE', 'version' => '1.0.0', 'algoInput' => $input];
$url = parse_url(getenv('AIGC_REDIS_URL') ?: 'redis://127.0.0.1:6379/0');
$redis = fsockopen($url['host'], $url['port'] ?? 6379, $number, $error, 10);
ask($redis, 'SELECT', ltrim($url['path'] ?? '', '/') ?: '0');
$answer = ask($redis, 'LPUSH', 'aigc', message($jobId, $payload, ['sku' => 'A-1']));
if ($answer === '' || $answer[0] !== ':') {
    fwrite(STDERR, "job $jobId may be queued; to queue it again under its id is safe: $answer\n");
    exit(1);
}
echo "$jobId\n";
